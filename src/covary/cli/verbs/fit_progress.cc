#include "covary/cli/verbs/fit_progress.h"

#include "covary/core/base/machine.h"

namespace covary::cli {
namespace {
constexpr double kSilent = 1;  // s
}  // namespace

FitProgress::FitProgress() : begun_(wall_seconds()) {}

numeric::SearchWatch FitProgress::watch() {
  return [this](const numeric::SearchStep& step) { return see(step); };
}

bool FitProgress::see(const numeric::SearchStep& step) {
  const double seconds = wall_seconds() - begun_;
  if (step.step > 0) ++steps_;
  if (seconds > kSilent) {
    if (!progress_) progress_.emplace("fit", 0);
    progress_->update(
        steps_,
        {{"objective", -step.value}, {"gradient", step.gradient_norm}, {"after", seconds, "s"}});
  }
  code_ = interrupted();
  stopped_ = code_ != 0;
  return !stopped_;
}

stat::SampleWatch FitProgress::sampling() {
  return [this](const stat::SampleStep& step) { return see(step); };
}

bool FitProgress::see(const stat::SampleStep& step) {
  if (!drew_) progress_.reset();
  drew_ = true;
  if (wall_seconds() - begun_ > kSilent) {
    if (!progress_) progress_.emplace("draws", step.total);
    progress_->update(step.done, {{"objective", step.log_density}});
  }
  code_ = interrupted();
  stopped_ = code_ != 0;
  return !stopped_;
}

void FitProgress::finish() {
  progress_.reset();
  code_ = interrupted();
}

}  // namespace covary::cli
