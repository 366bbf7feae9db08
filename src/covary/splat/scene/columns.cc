#include "covary/splat/scene/columns.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/compute/sh/sh.h"
#include "covary/splat/scene/convex.h"

namespace covary::scene {
namespace {

struct Family {
  const char* vector;                  // of all of them; empty = there is none
  std::vector<std::string> parts;      // by name
  at::Tensor (*values)(const Cloud&);  // [N] or [N,k], of any type
};

at::Tensor flat_rest(const Cloud& c) {
  return c.shN.transpose(1, 2).reshape({c.size(), -1});  // channel-major, as in a .ply
}

const std::vector<Family>& families() {
  static const std::vector<Family> table = {
      {"position", {"x", "y", "z"}, [](const Cloud& c) { return c.means; }},
      {"scale",
       {"scale_0", "scale_1", "scale_2"},
       [](const Cloud& c) { return c.scales.to(at::kDouble).exp(); }},
      {"", {"opacity"}, [](const Cloud& c) { return c.opacities.to(at::kDouble).sigmoid(); }},
      {"rotation",
       {"rot_0", "rot_1", "rot_2", "rot_3"},
       [](const Cloud& c) {
         const at::Tensor q = c.quats.to(at::kDouble);
         return q / q.norm(2, {1}, true).clamp_min(1e-300);
       }},
      {"color",
       {"red", "green", "blue"},
       [](const Cloud& c) { return c.sh0.to(at::kDouble).view({-1, 3}) * compute::kShC0 + 0.5; }},
      {"f_dc", {"f_dc_0", "f_dc_1", "f_dc_2"}, [](const Cloud& c) { return c.sh0.view({-1, 3}); }},
      {"scale_raw",
       {"scale_0_raw", "scale_1_raw", "scale_2_raw"},
       [](const Cloud& c) { return c.scales; }},
      {"", {"opacity_raw"}, [](const Cloud& c) { return c.opacities; }},
      {"rotation_raw",
       {"rot_0_raw", "rot_1_raw", "rot_2_raw", "rot_3_raw"},
       [](const Cloud& c) { return c.quats; }},
      {"", {"volume"}, [](const Cloud& c) { return c.scales.to(at::kDouble).sum(1).exp(); }},
      {"", {"index"}, [](const Cloud& c) { return at::arange(c.size(), at::kDouble); }},
  };
  return table;
}

// The number behind PREFIX_, or -1.
int64_t number_behind(const std::string& name, const std::string& prefix) {
  if (name.size() <= prefix.size() + 1 || name.size() > prefix.size() + 10 ||
      name.compare(0, prefix.size(), prefix) != 0 || name[prefix.size()] != '_')
    return -1;
  const std::string digits = name.substr(prefix.size() + 1);
  if (digits.find_first_not_of("0123456789") != std::string::npos ||
      (digits.size() > 1 && digits[0] == '0'))
    return -1;
  return std::stoll(digits);
}

at::Tensor found(const Cloud& cloud, const std::string& name) {
  for (const Family& f : families()) {
    if (name == f.vector) return f.values(cloud);
    for (size_t k = 0; k < f.parts.size(); ++k)
      if (name == f.parts[k]) {
        const at::Tensor t = f.values(cloud);
        return t.dim() == 1 ? t : t.select(1, static_cast<int64_t>(k));
      }
  }
  const int64_t rest = 3 * cloud.shN.size(1);
  if (name == "f_rest" && rest > 0) return flat_rest(cloud);
  if (const int64_t k = number_behind(name, "f_rest"); k >= 0 && k < rest)
    return cloud.shN.select(2, k / cloud.shN.size(1)).select(1, k % cloud.shN.size(1));
  if (const auto it = cloud.columns.find(name); it != cloud.columns.end()) return it->second;
  for (const auto& [column, t] : cloud.columns)
    if (const int64_t k = number_behind(name, column); t.dim() == 2 && k >= 0 && k < t.size(1))
      return t.select(1, k);
  return {};
}

}  // namespace

bool is_own_number(const std::string& name) {
  for (const Family& f : families())
    if ((*f.vector && name == f.vector) ||
        std::find(f.parts.begin(), f.parts.end(), name) != f.parts.end())
      return true;
  return name == "f_rest" || number_behind(name, "f_rest") >= 0;
}

bool is_footprint_column(const Cloud& cloud, const std::string& name) {
  return (cloud.footprint == "generalized" && name == "shape") ||
         (cloud.footprint == kConvex && is_convex_column(name));
}

std::vector<std::string> number_names(const Cloud& cloud) {
  std::vector<std::string> names;
  for (const Family& f : families()) {
    if (std::string(f.vector) == "scale_raw") break;
    names.insert(names.end(), f.parts.begin(), f.parts.end());
  }
  for (int64_t k = 0; k < 3 * cloud.shN.size(1); ++k)
    names.push_back("f_rest_" + std::to_string(k));
  for (const auto& [name, t] : cloud.columns) {
    if (t.dim() == 1) names.push_back(name);
    for (int64_t k = 0; t.dim() == 2 && k < t.size(1); ++k)
      names.push_back(name + "_" + std::to_string(k));
  }
  return names;
}

at::Tensor column(const Cloud& cloud, const std::string& name) {
  const at::Tensor t = found(cloud, name);
  if (t.defined()) return t.detach().to(at::kCPU, at::kDouble).contiguous();
  std::vector<std::string> names;
  for (const Family& f : families()) {
    if (*f.vector) names.emplace_back(f.vector);
    names.insert(names.end(), f.parts.begin(), f.parts.end());
  }
  std::string own;
  for (const auto& [key, value] : cloud.columns) {
    names.push_back(key);
    own += (own.empty() ? "" : ", ") + key;
  }
  const std::string near = nearest_word(name, names);
  throw Error(ExitCode::kUsage, "the scene has no column '" + name + "'", "expression",
              near.empty() ? "it has x y z, scale, opacity, rotation, color, f_dc, f_rest" +
                                 (own.empty() ? std::string() : " and " + own)
                           : "did you mean " + near + "?");
}

at::Tensor values_of(const Cloud& cloud, const Expression& expression) {
  std::vector<at::Tensor> held;
  std::vector<int64_t> widths;
  std::vector<const double*> columns;
  for (const std::string& name : expression.names()) {
    held.push_back(column(cloud, name));
    widths.push_back(held.back().dim() == 1 ? 1 : held.back().size(1));
    columns.push_back(held.back().const_data_ptr<double>());
  }
  at::Tensor out = at::empty({cloud.size()}, at::kDouble);
  expression.bind(widths).evaluate(cloud.size(), columns, out.data_ptr<double>());
  return out;
}

at::Tensor rows_where(const Cloud& cloud, const Expression& expression) {
  return values_of(cloud, expression).ne(0);
}

}  // namespace covary::scene
