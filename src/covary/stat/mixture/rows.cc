#include "covary/stat/mixture/rows.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"

namespace covary::mixture {

at::Tensor checked_rows(const at::Tensor& x, const char* what, bool allow_missing,
                        int64_t first_row) {
  if (!x.defined() || (x.dim() != 1 && x.dim() != 2) || x.numel() == 0)
    throw Error(ExitCode::kData, "needs rows and columns, [n,d]", what,
                "give at least one row and one column");
  at::Tensor rows = x.detach().to(at::kCPU, at::kDouble).contiguous();
  if (rows.dim() == 1) rows = rows.unsqueeze(1);
  const int64_t d = rows.size(1), count = rows.numel();
  const double* p = rows.data_ptr<double>();
  std::vector<int64_t> bad(static_cast<size_t>((count + 65535) / 65536), -1);
  parallel_tasks(static_cast<int64_t>(bad.size()), [&](int64_t b) {
    for (int64_t i = b * 65536; i < std::min(count, (b + 1) * 65536); ++i) {
      if (std::isfinite(p[i]) || (allow_missing && std::isnan(p[i]))) continue;
      bad[static_cast<size_t>(b)] = i;
      break;
    }
  });
  for (const int64_t i : bad) {
    if (i < 0) continue;
    throw Error(ExitCode::kData, std::isnan(p[i]) ? "an entry is missing" : "a value is infinite",
                std::string(what) + ", row " + std::to_string(first_row + i / d) + ", column " +
                    std::to_string(i % d),
                "drop the row or fill the entry");
  }
  return rows;
}

at::Tensor checked_weights(const at::Tensor& weights, int64_t n, int64_t first_row) {
  if (!weights.defined()) return {};
  const at::Tensor w = weights.detach().to(at::kCPU, at::kDouble).contiguous();
  if (w.dim() != 1 || w.size(0) != n)
    throw Error(ExitCode::kData, "there must be one weight a row", "weights");
  const double* p = w.data_ptr<double>();
  for (int64_t i = 0; i < n; ++i) {
    if (p[i] >= 0 && std::isfinite(p[i])) continue;
    throw Error(ExitCode::kData, "the weight is negative or not finite",
                "row " + std::to_string(first_row + i));
  }
  return w;
}

Rows::Rows(const at::Tensor& x, const at::Tensor& weights)
    : x_(checked_rows(x, "data", true)), weights_(checked_weights(weights, x_.size(0))) {
  columns_ = x_.size(1);
}

Rows::Rows(ChunkSource source) : source_(std::move(source)) {
  at::Tensor x, w;
  if (!source_(0, x, w)) throw Error(ExitCode::kData, "the source has no rows", "data");
  columns_ = checked_rows(x, "data", true).size(1);
}

void Rows::visit(const Visitor& visitor) const {
  if (!source_) {
    visitor(x_.data_ptr<double>(), weights_.defined() ? weights_.data_ptr<double>() : nullptr,
            x_.size(0));
    return;
  }
  std::vector<double> x, w;
  int64_t seen = 0;
  const auto flush = [&](bool last) {
    const int64_t have = static_cast<int64_t>(w.size());
    const int64_t n = last ? have : have / kReductionBlock * kReductionBlock;
    if (n == 0) return;
    visitor(x.data(), w.data(), n);
    x.erase(x.begin(), x.begin() + n * columns_);
    w.erase(w.begin(), w.begin() + n);
  };
  for (int64_t index = 0;; ++index) {
    at::Tensor chunk, weights;
    if (!source_(index, chunk, weights)) break;
    const at::Tensor rows = checked_rows(chunk, "data", true, seen);
    if (rows.size(1) != columns_)
      throw Error(ExitCode::kData,
                  "the chunk has " + std::to_string(rows.size(1)) + " columns, the first one " +
                      std::to_string(columns_),
                  "chunk " + std::to_string(index));
    const int64_t n = rows.size(0);
    const at::Tensor own = checked_weights(weights, n, seen);
    x.insert(x.end(), rows.data_ptr<double>(), rows.data_ptr<double>() + rows.numel());
    if (own.defined()) {
      w.insert(w.end(), own.data_ptr<double>(), own.data_ptr<double>() + n);
    } else {
      w.insert(w.end(), static_cast<size_t>(n), 1.0);
    }
    seen += n;
    flush(false);
  }
  flush(true);
}

ColumnMoments column_moments(const Rows& rows) {
  const int64_t d = rows.columns();
  ColumnMoments m;
  m.mean.assign(static_cast<size_t>(d), 0.0);
  m.variance.assign(static_cast<size_t>(d), 0.0);
  // Two passes, the second about the mean of the first; blocks of a fixed size in order.
  for (const bool squares : {false, true}) {
    std::vector<double> total(static_cast<size_t>(2 * d + 3), 0.0);
    rows.visit([&](const double* x, const double* weights, int64_t n) {
      const int64_t blocks = (n + kReductionBlock - 1) / kReductionBlock;
      std::vector<std::vector<double>> parts(static_cast<size_t>(blocks));
      parallel_tasks(blocks, [&](int64_t b) {
        std::vector<double> part(total.size(), 0.0);
        for (int64_t i = b * kReductionBlock; i < std::min(n, (b + 1) * kReductionBlock); ++i) {
          const double w = weights ? weights[i] : 1.0;
          bool any = false;
          for (int64_t j = 0; j < d; ++j) {
            const double v = x[i * d + j] - m.mean[static_cast<size_t>(j)];
            if (std::isnan(v)) {
              part.back() += 1;
              continue;
            }
            any = true;
            part[static_cast<size_t>(j)] += squares ? w * v * v : w * v;
            part[static_cast<size_t>(d + j)] += w;
          }
          if (!any || w == 0) continue;
          part[static_cast<size_t>(2 * d)] += 1;
          part[static_cast<size_t>(2 * d + 1)] += w;
        }
        parts[static_cast<size_t>(b)] = std::move(part);
      });
      for (const auto& part : parts) {
        for (size_t e = 0; e < total.size(); ++e) total[e] += part[e];
      }
    });
    for (int64_t j = 0; j < d; ++j) {
      const double weight = total[static_cast<size_t>(d + j)];
      if (!(weight > 0))
        throw Error(ExitCode::kData, "the column has no entry of weight above 0",
                    "column " + std::to_string(j), "drop the column");
      (squares ? m.variance : m.mean)[static_cast<size_t>(j)] =
          total[static_cast<size_t>(j)] / weight;
      if (!std::isfinite(total[static_cast<size_t>(j)]))
        throw Error(ExitCode::kData, "squares of the values overflow",
                    "column " + std::to_string(j), "scale the column down");
    }
    m.rows = total[static_cast<size_t>(2 * d)];
    m.weight = total[static_cast<size_t>(2 * d + 1)];
    m.missing = total.back() > 0;
  }
  return m;
}

}  // namespace covary::mixture
