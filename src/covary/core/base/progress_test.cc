#include "covary/core/base/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "covary/core/base/log.h"

namespace covary {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Progress, TheLineHasStepTotalPercentAndFigures) {
  set_progress_style(ProgressStyle::kPlain);
  Progress p("train", 30000);
  p.update(1200, {{"loss", 0.04125}, {"PSNR", 23.612, "dB"}, {"count", 18204}});
  EXPECT_EQ(p.line(), "train  1200/30000   4%  loss 0.04125  PSNR 23.61 dB  count 18204");
  p.update(1201, {{"loss", 0.5}});
  EXPECT_THAT(p.line(), HasSubstr("loss 0.5  PSNR 23.61 dB"));
}

TEST(Progress, WithoutATotalThereIsNoShare) {
  set_progress_style(ProgressStyle::kPlain);
  Progress p("fit", 0);
  p.update(12, {{"objective", -3.5}});
  EXPECT_EQ(p.line(), "fit 12  objective -3.5");
}

TEST(Progress, OnATerminalTheLineIsRewrittenWithRateAndEtaAndGoesAway) {
  set_progress_style(ProgressStyle::kTerminal);
  ::testing::internal::CaptureStderr();
  {
    Progress p("train", 100);
    p.update(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
    p.update(11);
    log_info("a message");
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("\r\x1b[Ktrain   1/100   1%"));
  EXPECT_THAT(text, HasSubstr("steps/s  ETA "));
  EXPECT_THAT(
      text,
      HasSubstr("\r\x1b[Ka message\ntrain  11/100"));  // the message first, then the line again
  EXPECT_THAT(text, EndsWith("\r\x1b[K"));
}

TEST(Progress, PlainStyleIsSilentBetweenItsLines) {
  set_progress_style(ProgressStyle::kPlain);
  ::testing::internal::CaptureStderr();
  Progress p("train", 100);
  for (int i = 1; i <= 50; ++i) p.update(i);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, QuietDrawsNothing) {
  set_progress_style(ProgressStyle::kTerminal);
  set_log_level(LogLevel::kError);
  ::testing::internal::CaptureStderr();
  {
    Progress p("train", 100);
    p.update(1);
    log_warning("unheard");
    log(LogLevel::kError, "heard");
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "heard\n");
  set_log_level(LogLevel::kInfo);
}

TEST(Log, WarningsSayThatTheyAre) {
  ::testing::internal::CaptureStderr();
  log_warning("3 photos skipped");
  log(LogLevel::kDebug, "unheard");
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(text, "warning: 3 photos skipped\n");
  EXPECT_THAT(text, Not(HasSubstr("unheard")));
}

}  // namespace
}  // namespace covary
