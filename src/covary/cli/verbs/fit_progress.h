// Progress lines of a fit, and of draws that follow it, and its end by Ctrl-C or TERM.
//
//   FitProgress progress;                       // signals wait for the next step while it lives
//   options.watch = progress.watch();
//   const Fitted f = fit(options);
//   progress.finish();                          // the line goes away
//   if (progress.code()) ...keep what there is...; throw Interrupted{progress.code()};
//
//   fit 31  4.2 steps/s  objective -512.3  gradient 0.8  after 7.4 s
//   draws 812/4000  20%  38.1 steps/s  ETA 01:24  objective -513.1
//
// The objective is the log likelihood with the log prior, nats, the gradient its largest entry by a
// logarithm; steps of all searches of a fit are counted. Nothing is said of a fit that ends within a
// second. A signal ends the search with its next step; a second one kills at once.
#pragma once

#include <cstdint>
#include <optional>

#include "covary/core/base/interrupt.h"
#include "covary/core/base/progress.h"
#include "covary/core/numeric/optimise/lbfgs_options.h"
#include "covary/stat/process/hyper_sample_options.h"

namespace covary::cli {

class FitProgress {
 public:
  FitProgress();
  numeric::SearchWatch watch();  // this must outlive it, and the other
  stat::SampleWatch sampling();
  void finish();
  int code() const { return code_; }  // 0, or the exit code of the signal that came before finish()
  bool stopped() const { return stopped_; }  // the signal ended a search; else it came after them
  bool drew() const { return drew_; }        // there were draws, be they finished or not

 private:
  bool see(const numeric::SearchStep& step);
  bool see(const stat::SampleStep& step);

  InterruptGuard guard_;
  std::optional<Progress> progress_;
  double begun_;
  int64_t steps_ = 0;
  int code_ = 0;
  bool stopped_ = false, drew_ = false;
};

}  // namespace covary::cli
