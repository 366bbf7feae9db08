#include "covary/splat/fit/photo_rows.h"

#include <cmath>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"

namespace covary::fit {
namespace {

template <class T>
void adam(T* value, T* first, T* second, const T* gradient, int64_t n, double rate, double updates,
          const PhotoRowsOptions& o) {
  const double scale1 = 1 / (1 - std::pow(o.beta1, updates)),
               scale2 = 1 / (1 - std::pow(o.beta2, updates));
  for (int64_t i = 0; i < n; ++i) {
    const double g = gradient[i] + o.weight_decay * value[i];
    const double m = o.beta1 * first[i] + (1 - o.beta1) * g,
                 v = o.beta2 * second[i] + (1 - o.beta2) * g * g;
    first[i] = static_cast<T>(m);
    second[i] = static_cast<T>(v);
    const double factor = o.factors.empty() ? 1 : o.factors[static_cast<size_t>(i)];
    value[i] -= static_cast<T>(factor * rate * m * scale1 / (std::sqrt(v * scale2) + o.eps));
  }
}

}  // namespace

PhotoRows::PhotoRows(at::IntArrayRef shape, at::ScalarType type, const nn::Schedule& rate) {
  table_.add("value", at::zeros(shape, type), rate);
  table_.add_statistic("updates", at::zeros({shape[0]}, at::kLong));
}

void PhotoRows::reset() {
  values().zero_();
  table_.zero_moments();
  table_.statistic("updates").zero_();
  handed_out_.clear();
}

at::Tensor PhotoRows::row(int64_t index) {
  at::Tensor& leaf = handed_out_[index];
  if (!leaf.defined()) leaf = values().select(0, index).clone().requires_grad_();
  return leaf;
}

void PhotoRows::update(int64_t step, const PhotoRowsOptions& options, const std::string& what) {
  for (const auto& [index, leaf] : handed_out_)
    if (leaf.grad().defined() && !leaf.grad().isfinite().all().item<bool>())
      throw Error(ExitCode::kFailed, "the gradient is not finite at step " + std::to_string(step),
                  what, "look for degenerate photos or cameras, or leave them as they are");
  nn::RowTable::Parameter& p = table_.entry("value");
  const double rate = p.rate.at(step);
  auto* updates = table_.statistic("updates").mutable_data_ptr<int64_t>();
  for (const auto& [index, leaf] : handed_out_) {
    if (!leaf.grad().defined()) continue;
    const at::Tensor gradient = leaf.grad().contiguous();
    const auto count = static_cast<double>(++updates[index]);
    const int64_t n = gradient.numel(), begin = index * n;
    if (!options.factors.empty() && static_cast<int64_t>(options.factors.size()) != n)
      throw Error(ExitCode::kFailed, "has other numbers than factors", what);
    const at::Tensor value = p.value.detach();
    if (value.scalar_type() == at::kDouble) {
      adam(value.mutable_data_ptr<double>() + begin, p.first.mutable_data_ptr<double>() + begin,
           p.second.mutable_data_ptr<double>() + begin, gradient.const_data_ptr<double>(), n, rate,
           count, options);
    } else {
      adam(value.mutable_data_ptr<float>() + begin, p.first.mutable_data_ptr<float>() + begin,
           p.second.mutable_data_ptr<float>() + begin, gradient.const_data_ptr<float>(), n, rate,
           count, options);
    }
  }
  handed_out_.clear();
}

void PhotoRows::center() {
  const at::Tensor all = values();
  all.sub_(all.mean(0, true));
}

void PhotoRows::save(const std::string& prefix, nn::NamedTensors& arrays,
                     nlohmann::json& document) const {
  for (const auto& [name, array] : table_.arrays()) arrays[prefix + "/" + name] = array;
  document[prefix] = table_.description();
}

void PhotoRows::restore(const std::string& prefix, const nn::NamedTensors& arrays,
                        const nlohmann::json& document) {
  const std::string start = prefix + "/";
  nn::NamedTensors own;
  for (const auto& [name, array] : arrays)
    if (name.starts_with(start)) own[name.substr(start.size())] = array;
  if (!document.contains(prefix)) throw Error(ExitCode::kData, "is missing in the state", prefix);
  const nn::RowTable read = nn::RowTable::restore(own, document.at(prefix));
  const auto updates = own.find("statistic/updates");
  if (!read.has("value") || read.parameter("value").sizes() != values().sizes() ||
      read.parameter("value").scalar_type() != values().scalar_type() || updates == own.end() ||
      updates->second.scalar_type() != at::kLong)
    throw Error(ExitCode::kData, "is of another shape or type than this capture asks for", prefix,
                "start anew with --overwrite");
  table_ = read;
  handed_out_.clear();
}

}  // namespace covary::fit
