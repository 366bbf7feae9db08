#include "covary/stat/filter/linear_model.h"

#include <cmath>
#include <cstdio>
#include <vector>

#include <ATen/ATen.h>
#include <Eigen/Eigenvalues>

#include "covary/core/base/error.h"

namespace covary::filter {
namespace {

constexpr double kAsymmetry = 1e-8, kNegative = -1e-10;

using Map = Eigen::Map<const Eigen::Matrix<double, -1, -1, Eigen::RowMajor>>;

[[noreturn]] void refuse(const std::string& what, const std::string& where,
                         const std::string& hint) {
  throw Error(ExitCode::kData, what, where, hint);
}

std::string shape_of(const at::Tensor& t) {
  std::string s = "[";
  for (const int64_t n : t.sizes()) s += (s.size() > 1 ? "," : "") + std::to_string(n);
  return s + "]";
}

void check_kind(const at::Tensor& t, const std::string& name) {
  if (!t.defined()) refuse("is missing", name, "every model has F, Q, H, R, mean0 and cov0");
  if (t.scalar_type() != at::kDouble || !t.device().is_cpu()) {
    refuse("is not a double tensor on the CPU", name, "convert it: t.to(at::kCPU, at::kDouble)");
  }
}

void check_finite(const at::Tensor& t, const std::string& name) {
  const at::Tensor c = t.contiguous();
  const double* x = c.const_data_ptr<double>();
  for (int64_t i = 0; i < c.numel(); ++i) {
    if (!std::isfinite(x[i])) {
      refuse("entry " + std::to_string(i) + " (row-major) is not finite", name,
             "only observations may be missing");
    }
  }
}

void check_covariance(const Map& m, const std::string& name) {
  const double scale = m.size() ? m.cwiseAbs().maxCoeff() : 0;
  if (scale == 0) return;
  for (int64_t i = 0; i < m.rows(); ++i) {
    for (int64_t j = 0; j < i; ++j) {
      if (std::abs(m(i, j) - m(j, i)) > kAsymmetry * scale) {
        refuse("is not symmetric at (" + std::to_string(i) + ", " + std::to_string(j) + ")", name,
               "a covariance equals its transpose");
      }
    }
  }
  const Eigen::MatrixXd symmetric = 0.5 * (m + m.transpose());
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(symmetric);
  const double lowest = eigen.eigenvalues()(0);
  if (!(lowest >= kNegative * scale)) {
    Eigen::Index along = 0;
    eigen.eigenvectors().col(0).cwiseAbs().maxCoeff(&along);
    char value[32];
    std::snprintf(value, sizeof value, "%.6g", lowest);
    refuse(std::string("is not positive semi-definite: its smallest eigenvalue is ") + value +
               " (" + std::to_string((eigen.eigenvalues().array() < kNegative * scale).count()) +
               " of " + std::to_string(m.rows()) + " negative; mostly along entry " +
               std::to_string(along) + ")",
           name, "a covariance has no negative eigenvalue");
  }
}

// A matrix that is constant or has one entry a step.
void check_matrix(const at::Tensor& t, const std::string& name, int64_t rows, int64_t columns,
                  int64_t steps, bool covariance) {
  check_kind(t, name);
  const int64_t d = t.dim();
  if ((d != 2 && d != 3) || t.size(-2) != rows || t.size(-1) != columns) {
    refuse("has shape " + shape_of(t) + ", not [" + std::to_string(rows) + "," +
               std::to_string(columns) + "] (one entry a step before it or none)",
           name, "the states are those of mean0, the observations the rows of H");
  }
  if (d == 3 && steps >= 0 && t.size(0) != steps) {
    refuse("has " + std::to_string(t.size(0)) + " entries for " + std::to_string(steps) + " steps",
           name, "give one matrix a step, or one for all");
  }
  check_finite(t, name);
  if (!covariance) return;
  const at::Tensor c = t.contiguous();
  const int64_t count = d == 3 ? t.size(0) : 1;
  for (int64_t i = 0; i < count; ++i) {
    check_covariance(Map(c.const_data_ptr<double>() + i * rows * columns, rows, columns),
                     d == 3 ? name + " at step " + std::to_string(i) : name);
  }
}

nlohmann::json tensor_to_json(const at::Tensor& t) {
  if (t.dim() == 0) return t.item<double>();
  nlohmann::json list = nlohmann::json::array();
  for (int64_t i = 0; i < t.size(0); ++i) list.push_back(tensor_to_json(t[i]));
  return list;
}

void collect(const nlohmann::json& j, size_t depth, std::vector<int64_t>& shape,
             std::vector<double>& values, const std::string& where) {
  if (j.is_number()) {
    if (depth != shape.size()) refuse("has rows of different depths", where, "");
    values.push_back(j.get<double>());
    return;
  }
  if (!j.is_array() || j.empty()) {
    refuse("holds something that is neither a number nor a list", where, "write [[1, 0], [0, 1]]");
  }
  // The first way down fixes the shape; every other way must follow it.
  if (depth == shape.size() && values.empty()) shape.push_back(static_cast<int64_t>(j.size()));
  if (depth >= shape.size() || shape[depth] != static_cast<int64_t>(j.size()) || depth >= 3) {
    refuse("has rows of different lengths", where, "every row has as many numbers as the first");
  }
  for (const auto& item : j) collect(item, depth + 1, shape, values, where);
}

at::Tensor tensor_from_json(const nlohmann::json& j, const std::string& where) {
  std::vector<int64_t> shape;
  std::vector<double> values;
  collect(j, 0, shape, values, where);
  return at::tensor(values, at::kDouble).reshape(shape);
}

}  // namespace

void LinearModel::check(int64_t steps) const {
  check_kind(mean0, "mean0");
  if (mean0.dim() != 1 || mean0.size(0) < 1) {
    refuse("has shape " + shape_of(mean0) + ", not [n]", "mean0", "one number a state");
  }
  check_finite(mean0, "mean0");
  check_kind(h, "H");
  if (h.dim() < 2 || h.size(-2) < 1) {
    refuse("has shape " + shape_of(h) + ", not [p,n]", "H", "one row an observation");
  }
  const int64_t n = states(), p = observations();
  check_matrix(f, "F", n, n, steps, false);
  check_matrix(q, "Q", n, n, steps, true);
  check_matrix(h, "H", p, n, steps, false);
  check_matrix(r, "R", p, p, steps, true);
  if (b.defined()) {
    if (b.dim() < 2)
      refuse("has shape " + shape_of(b) + ", not [n,k]", "B", "one column a control");
    check_matrix(b, "B", n, b.size(-1), steps, false);
  }
  if (cov0.defined() && cov0.dim() != 2) {
    refuse("has shape " + shape_of(cov0) + ", not [n,n]", "cov0", "the start has one covariance");
  }
  check_matrix(cov0, "cov0", n, n, -1, true);
  if (diffuse.defined()) {
    if (diffuse.dim() != 2) {
      refuse("has shape " + shape_of(diffuse) + ", not [n,m]", "diffuse", "one column a direction");
    }
    check_matrix(diffuse, "diffuse", n, diffuse.size(1), -1, false);
  }
}

nlohmann::json LinearModel::to_json() const {
  nlohmann::json j{{"F", tensor_to_json(f)},         {"Q", tensor_to_json(q)},
                   {"H", tensor_to_json(h)},         {"R", tensor_to_json(r)},
                   {"mean0", tensor_to_json(mean0)}, {"cov0", tensor_to_json(cov0)}};
  if (b.defined()) j["B"] = tensor_to_json(b);
  if (diffuse.defined()) j["diffuse"] = tensor_to_json(diffuse);
  return j;
}

LinearModel LinearModel::from_json(const nlohmann::json& j, const std::string& file) {
  if (!j.is_object()) refuse("is no JSON object", file, "a model is {\"F\": ..., \"Q\": ..., ...}");
  LinearModel m;
  bool whole = false;  // "diffuse": true
  const std::vector<std::pair<const char*, at::Tensor*>> fields{
      {"F", &m.f},         {"Q", &m.q},       {"H", &m.h}, {"R", &m.r},
      {"mean0", &m.mean0}, {"cov0", &m.cov0}, {"B", &m.b}, {"diffuse", &m.diffuse}};
  for (const auto& [key, value] : j.items()) {
    at::Tensor* target = nullptr;
    for (const auto& [name, field] : fields) {
      if (key == name) target = field;
    }
    const std::string where = file + ": " + key;
    if (!target) {
      refuse("is no part of a model", where, "the keys are F, Q, H, R, B, mean0, cov0, diffuse");
    }
    if (key == "diffuse" && value.is_boolean()) {
      whole = value.get<bool>();
      continue;
    }
    *target = tensor_from_json(value, where);
    if (target->dim() == 0) *target = target->reshape({1, 1});
  }
  if (m.mean0.defined() && m.mean0.dim() == 2) m.mean0 = m.mean0.reshape({-1});
  if (m.f.defined() && m.f.dim() >= 2 && (whole || m.diffuse.defined())) {
    const int64_t n = m.f.size(-1);
    if (whole) m.diffuse = at::eye(n, at::kDouble);
    if (!m.mean0.defined()) m.mean0 = at::zeros({n}, at::kDouble);
    if (!m.cov0.defined()) m.cov0 = at::zeros({n, n}, at::kDouble);
  }
  try {
    m.check();
  } catch (const Error& e) {
    throw Error(e.code(), e.message(), file + ": " + e.where(), e.hint());
  }
  return m;
}

}  // namespace covary::filter
