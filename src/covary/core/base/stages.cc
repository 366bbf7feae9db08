#include "covary/core/base/stages.h"

#include <map>
#include <mutex>

#include "covary/core/base/error.h"
#include "covary/core/base/machine.h"

namespace covary {
namespace {

thread_local StageTimer* innermost = nullptr;

struct Totals {
  std::mutex mutex;
  std::map<std::string, StageTotal> by_path;
};

Totals& totals() {
  static Totals all;
  return all;
}

}  // namespace

std::atomic<bool> StageTimer::listening_{false};

StageClock::StageClock() {
  if (StageTimer::listening_.exchange(true))
    throw Error(ExitCode::kFailed, "another clock listens already", "stage clock");
  take();
}

StageClock::~StageClock() { StageTimer::listening_.store(false); }

std::vector<StageTotal> StageClock::take() {
  Totals& all = totals();
  const std::lock_guard<std::mutex> lock(all.mutex);
  std::vector<StageTotal> out;
  for (auto& [path, total] : all.by_path) out.push_back(std::move(total));
  all.by_path.clear();
  return out;
}

std::string StageTimer::path() const {
  return parent_ == nullptr ? name_ : parent_->path() + "/" + name_;
}

void StageTimer::begin(const char* name) {
  name_ = name;
  parent_ = innermost;
  innermost = this;
  wall_ = wall_seconds();
  cpu_ = cpu_seconds();
}

void StageTimer::end() {
  const double cpu = cpu_seconds() - cpu_, wall = wall_seconds() - wall_;
  innermost = parent_;
  if (parent_ != nullptr) {
    parent_->child_wall_ += wall;
    parent_->child_cpu_ += cpu;
  }
  std::string where = path();
  Totals& all = totals();
  const std::lock_guard<std::mutex> lock(all.mutex);
  StageTotal& total = all.by_path[where];
  total.path = std::move(where);
  total.calls += 1;
  total.wall_s += wall;
  total.cpu_s += cpu;
  total.self_wall_s += wall - child_wall_;
  total.self_cpu_s += cpu - child_cpu_;
  total.items += items_;
}

}  // namespace covary
