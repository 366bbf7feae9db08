#include "covary/stat/process/gp_data.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"

namespace covary::stat {
namespace {

std::string shape_of(const at::Tensor& t) {
  std::string s = "[";
  for (const int64_t n : t.sizes()) s += (s.size() > 1 ? "," : "") + std::to_string(n);
  return s + "]";
}

std::string cell(int64_t row, int64_t column) {
  return "row " + std::to_string(row) + ", column " + std::to_string(column);
}

void require_double(const at::Tensor& t, const std::string& what) {
  if (!t.defined()) throw Error(ExitCode::kUsage, "is undefined", what);
  if (t.scalar_type() != at::kDouble || !t.device().is_cpu()) {
    throw Error(ExitCode::kUsage, "must be a tensor of doubles on the CPU", what,
                "convert it with .to(at::kDouble)");
  }
}

}  // namespace

Mean mean_of(const std::string& name) {
  if (name == "zero") return Mean::kZero;
  if (name == "const") return Mean::kConst;
  if (name == "linear") return Mean::kLinear;
  if (name == "quadratic") return Mean::kQuadratic;
  throw Error(ExitCode::kUsage, "must be zero, const, linear or quadratic, not \"" + name + "\"",
              "mean");
}

at::Tensor checked_points(const at::Tensor& x, int64_t dims, const std::string& what) {
  require_double(x, what);
  if (x.dim() != 2 || (dims >= 0 && x.size(1) != dims)) {
    throw Error(ExitCode::kUsage,
                "has shape " + shape_of(x) + ", expected [rows," +
                    (dims >= 0 ? std::to_string(dims) : "columns") + "]",
                what);
  }
  const at::Tensor out = x.detach().contiguous();
  const double* p = out.const_data_ptr<double>();
  for (int64_t i = 0; i < out.numel(); ++i) {
    if (!std::isfinite(p[i])) {
      throw Error(ExitCode::kData,
                  std::string(std::isnan(p[i]) ? "NaN" : "infinity") + " at " +
                      cell(i / out.size(1), i % out.size(1)),
                  what, "drop the row or fill the cell");
    }
  }
  return out;
}

GpData GpData::from(const at::Tensor& x, const at::Tensor& y, const RowNoise& noise, Mean mean,
                    bool constant_columns) {
  GpData data;
  data.mean = mean;
  data.x = checked_points(x, -1, "X");
  data.n = data.x.size(0);
  data.dims = data.x.size(1);
  if (data.n == 0) throw Error(ExitCode::kData, "has no rows", "X");
  if (data.dims == 0) throw Error(ExitCode::kData, "has no columns", "X");
  require_double(y, "y");
  if ((y.dim() != 1 && y.dim() != 2) || y.size(0) != data.n) {
    throw Error(ExitCode::kUsage,
                "has shape " + shape_of(y) + ", expected [" + std::to_string(data.n) + "] or [" +
                    std::to_string(data.n) + ",outputs]",
                "y");
  }
  data.vector_y = y.dim() == 1;
  data.y = (data.vector_y ? y.unsqueeze(1) : y).detach().contiguous();
  data.outputs = data.y.size(1);
  if (data.outputs == 0) throw Error(ExitCode::kData, "has no columns", "y");
  const double* values = data.y.const_data_ptr<double>();
  for (int64_t i = 0; i < data.y.numel(); ++i) {
    const std::string where = cell(i / data.outputs, i % data.outputs);
    if (std::isinf(values[i])) throw Error(ExitCode::kData, "infinity at " + where, "y");
    if (std::abs(values[i]) > 1e150) {
      throw Error(ExitCode::kData, "the square of the value at " + where + " overflows", "y",
                  "scale y down");
    }
  }
  const double* points = data.x.const_data_ptr<double>();
  for (int64_t k = 0; k < data.dims; ++k) {
    double low = points[k], high = low;
    for (int64_t i = 1; i < data.n; ++i) {
      low = std::min(low, points[i * data.dims + k]);
      high = std::max(high, points[i * data.dims + k]);
    }
    if (high - low > 1e150) {
      throw Error(ExitCode::kData, "the square of column " + std::to_string(k) + " overflows", "X",
                  "scale the column down");
    }
    if (data.n > 1 && low == high && !constant_columns) {
      throw Error(ExitCode::kData, "all values of column " + std::to_string(k) + " are equal", "X",
                  "drop the column: it tells nothing");
    }
    data.centre.push_back(low + (high - low) / 2);
    data.scale.push_back(high > low ? high - low : 1);
  }
  noise.check(data.n);
  if (noise.variances.defined()) data.noise.variances = noise.variances.detach().contiguous();
  if (noise.weights.defined()) data.noise.weights = noise.weights.detach().contiguous();
  data.y = data.noise.masked(data.y);
  data.form_groups();
  return data;
}

void GpData::form_groups() {
  groups.clear();
  const double* values = y.const_data_ptr<double>();
  std::map<std::vector<bool>, size_t> known;
  for (int64_t o = 0; o < outputs; ++o) {
    std::vector<bool> mask(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
      mask[static_cast<size_t>(i)] = !std::isnan(values[i * outputs + o]);
    }
    const auto [it, fresh] = known.emplace(mask, groups.size());
    if (fresh) {
      GpGroup g;
      for (int64_t i = 0; i < n; ++i) {
        if (mask[static_cast<size_t>(i)]) g.rows.push_back(i);
      }
      if (g.rows.empty()) {
        throw Error(ExitCode::kData, "column " + std::to_string(o) + " holds no value", "y");
      }
      if (g.count() < coefficients()) {
        throw Error(ExitCode::kData,
                    "column " + std::to_string(o) + " holds " + std::to_string(g.count()) +
                        " values for " + std::to_string(coefficients()) +
                        " coefficients of the mean",
                    "y", "use the mean const or zero");
      }
      const double* points = x.const_data_ptr<double>();
      for (const int64_t i : g.rows) {
        g.x.insert(g.x.end(), points + i * dims, points + (i + 1) * dims);
        if (noise.variances.defined())
          g.noise.push_back(noise.variances.const_data_ptr<double>()[i]);
        if (noise.weights.defined()) g.weights.push_back(noise.weights.const_data_ptr<double>()[i]);
      }
      g.basis = basis_at(g.x.data(), g.count());
      groups.push_back(std::move(g));
    }
    GpGroup& g = groups[it->second];
    g.outputs.push_back(o);
    for (const int64_t i : g.rows) g.y.push_back(values[i * outputs + o]);
  }
}

int64_t GpData::coefficients() const {
  switch (mean) {
    case Mean::kZero:
      return 0;
    case Mean::kConst:
      return 1;
    case Mean::kLinear:
      return 1 + dims;
    case Mean::kQuadratic:
      return 1 + dims + dims * (dims + 1) / 2;
  }
  return 0;
}

std::vector<double> GpData::basis_at(const double* points, int64_t count) const {
  std::vector<double> basis(static_cast<size_t>(coefficients() * count), 1.0);
  if (mean != Mean::kLinear && mean != Mean::kQuadratic) return basis;
  const auto row = [&](int64_t c) { return basis.data() + c * count; };
  for (int64_t k = 0; k < dims; ++k) {
    for (int64_t i = 0; i < count; ++i) {
      row(k + 1)[i] =
          (points[i * dims + k] - centre[static_cast<size_t>(k)]) / scale[static_cast<size_t>(k)];
    }
  }
  int64_t next = 1 + dims;
  for (int64_t k = 0; mean == Mean::kQuadratic && k < dims; ++k) {
    for (int64_t l = 0; l <= k; ++l, ++next) {
      for (int64_t i = 0; i < count; ++i) row(next)[i] = row(k + 1)[i] * row(l + 1)[i];
    }
  }
  return basis;
}

std::vector<double> GpData::basis_slopes(const double* points, int64_t count,
                                         int64_t column) const {
  std::vector<double> slopes(static_cast<size_t>(coefficients() * count), 0.0);
  if (mean != Mean::kLinear && mean != Mean::kQuadratic) return slopes;
  const double unit = 1 / scale[static_cast<size_t>(column)];
  std::fill_n(slopes.data() + (1 + column) * count, count, unit);
  int64_t next = 1 + dims;
  for (int64_t k = 0; mean == Mean::kQuadratic && k < dims; ++k) {
    for (int64_t l = 0; l <= k; ++l, ++next) {
      for (const auto& [moved, other] : {std::pair{k, l}, std::pair{l, k}}) {
        if (moved != column) continue;
        const auto c = static_cast<size_t>(other);
        for (int64_t i = 0; i < count; ++i) {
          slopes[static_cast<size_t>(next * count + i)] +=
              unit * (points[i * dims + other] - centre[c]) / scale[c];
        }
      }
    }
  }
  return slopes;
}

GpData GpData::sample(int64_t count, uint64_t seed) const {
  std::vector<int64_t> order = Random(seed, stream_of("process.sample")).permutation(n);
  order.resize(static_cast<size_t>(std::min(count, n)));
  std::sort(order.begin(), order.end());
  const at::Tensor rows = at::tensor(order, at::kLong);
  GpData part = *this;
  part.n = static_cast<int64_t>(order.size());
  part.x = x.index_select(0, rows);
  part.y = y.index_select(0, rows);
  part.noise = noise.rows(rows);
  part.form_groups();
  return part;
}

}  // namespace covary::stat
