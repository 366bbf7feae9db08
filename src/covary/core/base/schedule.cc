#include "covary/core/base/schedule.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <vector>

#include "covary/core/base/error.h"

namespace covary {
namespace {

void check(int workers) {
  if (workers < 1) throw Error(ExitCode::kUsage, "must be at least 1", "workers");
}

double share(double total, double last, int workers) {
  return last > 0 ? total / (last * workers) : 1;
}

}  // namespace

double busy_share_of_tasks(std::span<const double> costs, int workers) {
  check(workers);
  std::priority_queue<double, std::vector<double>, std::greater<>> free_at;
  for (int i = 0; i < workers; ++i) free_at.push(0);
  double total = 0, last = 0;
  for (const double cost : costs) {
    const double end = free_at.top() + cost;
    free_at.pop();
    free_at.push(end);
    total += cost;
    last = std::max(last, end);
  }
  return share(total, last, workers);
}

double busy_share_of_chunks(std::span<const double> costs, int workers) {
  check(workers);
  const size_t n = costs.size(), chunk = (n + static_cast<size_t>(workers) - 1) / workers;
  double total = 0, last = 0;
  for (size_t begin = 0; begin < n; begin += chunk) {
    double of_chunk = 0;
    for (size_t i = begin; i < std::min(n, begin + chunk); ++i) of_chunk += costs[i];
    total += of_chunk;
    last = std::max(last, of_chunk);
  }
  return share(total, last, workers);
}

}  // namespace covary
