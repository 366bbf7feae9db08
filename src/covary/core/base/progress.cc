#include "covary/core/base/progress.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <utility>

#include "covary/core/base/log.h"
#include "covary/core/base/machine.h"

namespace covary {
namespace {

std::atomic<ProgressStyle> g_style{ProgressStyle::kAuto};

constexpr double kTerminalPeriod = 0.1, kPlainPeriod = 10;  // s between draws
constexpr double kRateWindow = 5;                           // s over which the rate is smoothed

std::string text_of(const char* format, double x) {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), format, x);
  return buffer;
}

std::string value_text(double x) {
  if (std::abs(x) >= 1 && std::abs(x) < 1e15 && x == std::floor(x)) return text_of("%.0f", x);
  return text_of("%.4g", x);
}

std::string time_text(double seconds) {
  const auto s = static_cast<int64_t>(std::min(std::ceil(seconds), 3.6e8));
  char buffer[64];
  if (s >= 3600)
    std::snprintf(buffer, sizeof(buffer), "%ld:%02ld:%02ld", static_cast<long>(s / 3600),
                  static_cast<long>(s / 60 % 60), static_cast<long>(s % 60));
  else
    std::snprintf(buffer, sizeof(buffer), "%ld:%02ld", static_cast<long>(s / 60),
                  static_cast<long>(s % 60));
  return buffer;
}

}  // namespace

void set_progress_style(ProgressStyle style) { g_style = style; }

Progress::Progress(std::string what, int64_t total, std::string unit)
    : what_(std::move(what)), unit_(std::move(unit)), total_(total) {
  const ProgressStyle style = g_style;
  terminal_ = style == ProgressStyle::kTerminal ||
              (style == ProgressStyle::kAuto && isatty(STDERR_FILENO) != 0);
}

Progress::~Progress() { finish(); }

void Progress::update(int64_t done, const std::vector<Figure>& figures) {
  const double now = wall_seconds();
  if (!begun_) {
    begun_ = true;
    first_time_ = rate_time_ = now;
    drawn_time_ = terminal_ ? now - 1 : now;  // a terminal sees the first call at once
    rate_done_ = done;
  }
  done_ = done;
  for (const Figure& f : figures) {
    const auto same = std::find_if(figures_.begin(), figures_.end(),
                                   [&](const Figure& g) { return g.name == f.name; });
    if (same == figures_.end())
      figures_.push_back(f);
    else
      *same = f;
  }
  if (now - drawn_time_ < (terminal_ ? kTerminalPeriod : kPlainPeriod)) return;
  drawn_time_ = now;
  if (now > rate_time_ && done > rate_done_) {
    const double latest = static_cast<double>(done - rate_done_) / (now - rate_time_);
    const double weight = 1 - std::exp(-(now - rate_time_) / kRateWindow);
    rate_ = rate_ > 0 ? rate_ + weight * (latest - rate_) : latest;
    rate_time_ = now;
    rate_done_ = done;
  }
  if (log_level() == LogLevel::kError) return;
  if (terminal_)
    status_line(line());
  else
    log_info(line());
}

void Progress::expect(int64_t total) { total_ = total; }

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (terminal_) status_line("");
}

std::string Progress::line() const {
  const std::string total = std::to_string(total_);
  std::string done = std::to_string(done_);
  if (done.size() < total.size()) done.insert(0, total.size() - done.size(), ' ');
  std::string out = what_ + " " + done + (total_ > 0 ? "/" + total : "");
  if (total_ > 0) {
    const std::string percent =
        text_of("%3.0f%%", 100.0 * static_cast<double>(done_) / static_cast<double>(total_));
    out += " " + percent;
  }
  if (rate_ > 0) {
    out += rate_ >= 1 ? "  " + text_of("%.3g", rate_) + " " + unit_ + "/s"
                      : "  " + text_of("%.3g", 1 / rate_) + " s each";
    if (total_ > done_) out += "  ETA " + time_text(static_cast<double>(total_ - done_) / rate_);
  }
  for (const Figure& f : figures_) {
    out += "  " + f.name + " " + value_text(f.value);
    if (!f.unit.empty()) out += " " + f.unit;
  }
  return out;
}

}  // namespace covary
