#include "covary/splat/serve/splat_stream.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"

namespace covary::serve {
namespace {

constexpr double kLogScaleLow = -20, kLogScaleHigh = 12;
constexpr int64_t kMaxColumns = 64;  // that are offered, of one column [N,k]

struct Row {
  float mean[3];
  uint32_t row;
  int16_t quat[4];
  uint16_t scale[3], opacity;
};
static_assert(sizeof(Row) == 32);

at::Tensor as_float(const at::Tensor& t) {
  return t.detach().to(at::kCPU, at::kFloat).contiguous();
}

uint16_t step_of(double value, double low, double high) {
  const double t = (value - low) / (high - low);
  return static_cast<uint16_t>(std::lround(std::clamp(t, 0.0, 1.0) * 65535));
}

void put32(std::vector<uint8_t>& out, size_t at, uint32_t value) {
  std::memcpy(out.data() + at, &value, 4);
}

// Columns that are numbers, one a row or up to kMaxColumns.
bool is_shown(const at::Tensor& column) {
  return column.defined() && column.dim() >= 1 && column.dim() <= 2 &&
         (column.dim() == 1 || (column.size(1) >= 1 && column.size(1) <= kMaxColumns));
}

}  // namespace

at::Tensor importance_order(const scene::Cloud& cloud) {
  const at::Tensor scales = as_float(cloud.scales);
  const at::Tensor sorted = std::get<0>(scales.sort(1, true));
  at::Tensor finite = at::isfinite(as_float(cloud.means)).all(1) &
                      at::isfinite(as_float(cloud.quats)).all(1) & at::isfinite(scales).all(1) &
                      at::isfinite(as_float(cloud.opacities)) &
                      at::isfinite(as_float(cloud.sh0)).flatten(1).all(1);
  if (cloud.shN.defined() && cloud.shN.size(1) > 0)
    finite = finite & at::isfinite(as_float(cloud.shN)).flatten(1).all(1);
  const at::Tensor weight =
      as_float(cloud.opacities).sigmoid().log() + sorted.select(1, 0) + sorted.select(1, 1);
  const at::Tensor rows = finite.nonzero().squeeze(1);
  const at::Tensor order = std::get<1>(
      weight.index_select(0, rows).sort(/*stable=*/true, /*dim=*/0, /*descending=*/true));
  return rows.index_select(0, order);
}

std::vector<uint8_t> encode_splats(const scene::Cloud& shown, const at::Tensor& order) {
  const scene::Cloud cloud = scene::as_gaussians(shown);  // what the page draws
  const int64_t n = order.size(0);
  if (n > kMaxSplats)
    throw Error(ExitCode::kFailed,
                std::to_string(n) + " Gaussians are more than a page can hold (" +
                    std::to_string(kMaxSplats) + ")",
                "", "train with --max-gaussians");
  const int64_t degree = std::min(cloud.sh_degree(), 3);
  const int64_t k = (degree + 1) * (degree + 1);
  const int64_t sh_bytes = 6 * k;
  const auto block_bytes = [&](int64_t rows) { return (rows * (32 + sh_bytes) + 3) / 4 * 4; };
  const int64_t whole = n / kSplatBlock, rest = n % kSplatBlock;
  std::vector<uint8_t> out(
      static_cast<size_t>(32 + whole * block_bytes(kSplatBlock) + (rest ? block_bytes(rest) : 0)));
  std::memcpy(out.data(), "CVSPLAT1", 8);
  put32(out, 8, static_cast<uint32_t>(n));
  put32(out, 12, static_cast<uint32_t>(k));
  put32(out, 16, static_cast<uint32_t>(kSplatBlock));
  put32(out, 20, cloud.antialiased ? 1 : 0);
  if (n == 0) return out;

  const at::Tensor means = as_float(cloud.means), quats = as_float(cloud.quats),
                   scales = as_float(cloud.scales), opacities = as_float(cloud.opacities);
  at::Tensor sh = as_float(cloud.sh0);
  if (k > 1) sh = at::cat({sh, as_float(cloud.shN).slice(1, 0, k - 1)}, 1);
  sh = sh.clamp(-65504, 65504).to(at::kHalf).contiguous();  // [N,K,3]
  const float *m = means.data_ptr<float>(), *q = quats.data_ptr<float>(),
              *s = scales.data_ptr<float>(), *o = opacities.data_ptr<float>();
  const auto* c = reinterpret_cast<const uint8_t*>(sh.data_ptr<at::Half>());
  const at::Tensor rows = order.contiguous();
  const auto* row_of = rows.data_ptr<int64_t>();

  parallel_for((n + kSplatBlock - 1) / kSplatBlock, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * kSplatBlock, count = std::min(kSplatBlock, n - first);
      uint8_t* to = out.data() + 32 + b * block_bytes(kSplatBlock);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t r = row_of[first + i];
        Row row{};
        for (int j = 0; j < 3; ++j) row.mean[j] = m[3 * r + j];
        row.row = static_cast<uint32_t>(r);
        double norm = 0;
        for (int j = 0; j < 4; ++j) norm += static_cast<double>(q[4 * r + j]) * q[4 * r + j];
        norm = std::sqrt(norm);
        for (int j = 0; j < 4; ++j)
          row.quat[j] = static_cast<int16_t>(
              std::lround(32767 * (norm > 0 ? q[4 * r + j] / norm : (j == 0 ? 1.0 : 0.0))));
        for (int j = 0; j < 3; ++j)
          row.scale[j] = step_of(s[3 * r + j], kLogScaleLow, kLogScaleHigh);
        row.opacity = step_of(1 / (1 + std::exp(-static_cast<double>(o[r]))), 0, 1);
        std::memcpy(to + 32 * i, &row, 32);
        std::memcpy(to + 32 * count + sh_bytes * i, c + sh_bytes * r,
                    static_cast<size_t>(sh_bytes));
      }
    }
  });
  return out;
}

std::vector<std::string> column_names(const scene::Cloud& cloud) {
  std::vector<std::string> names;
  for (const auto& [name, column] : cloud.columns) {
    if (!is_shown(column)) continue;
    if (column.dim() == 1)
      names.push_back(name);
    else
      for (int64_t i = 0; i < column.size(1); ++i) names.push_back(name + "_" + std::to_string(i));
  }
  return names;
}

at::Tensor column_values(const scene::Cloud& cloud, const std::string& name) {
  for (const auto& [own, column] : cloud.columns) {
    if (!is_shown(column)) continue;
    for (int64_t i = 0; i < (column.dim() == 1 ? 1 : column.size(1)); ++i)
      if (name == (column.dim() == 1 ? own : own + "_" + std::to_string(i)))
        return column.dim() == 1 ? column : column.select(1, i);
  }
  throw Error(ExitCode::kData, "the scene has no column of this name", name,
              "covary info lists the columns of a scene");
}

std::vector<uint8_t> encode_column(const scene::Cloud& cloud, const at::Tensor& order,
                                   const std::string& name) {
  const at::Tensor values = as_float(column_values(cloud, name).index_select(0, order));
  std::vector<uint8_t> out(static_cast<size_t>(values.numel()) * 4);
  std::memcpy(out.data(), values.data_ptr<float>(), out.size());
  return out;
}

}  // namespace covary::serve
