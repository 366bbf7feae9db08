// How far long work has come, on stderr: on a terminal one line that rewrites itself, otherwise a
// plain line every 10 s.
//
//   Progress progress("train", 30000, "steps");
//   for (...) { ...; progress.update(step, {{"loss", loss}, {"PSNR", psnr, "dB"}, {"count", n}}); }
//   progress.finish();     // or the destructor: the terminal's line goes away
//
//   train   1200/30000   4%  38.1 steps/s  ETA 12:36  loss 0.0412  PSNR 23.6 dB  count 18204
//
// Cheap enough for every step: it draws at most ten times a second. -q silences it; --tty and
// --no-tty force the style.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace covary {

enum class ProgressStyle { kAuto, kTerminal, kPlain };
void set_progress_style(ProgressStyle style);  // kAuto: terminal when stderr is one

struct Figure {
  std::string name;
  double value = 0;
  std::string unit = "";
};

class Progress {
 public:
  // total 0: nobody knows; the line then has no share and no end.
  Progress(std::string what, int64_t total, std::string unit = "steps");
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // done of total; figures named last time stay until named again. Call from one thread.
  void update(int64_t done, const std::vector<Figure>& figures = {});
  void expect(int64_t total);  // it is so much, after all
  void finish();

  std::string line() const;  // as drawn now

 private:
  std::string what_, unit_;
  int64_t total_, done_ = 0;
  std::vector<Figure> figures_;
  bool terminal_, begun_ = false, finished_ = false;
  double first_time_ = 0, drawn_time_ = 0, rate_time_ = 0, rate_ = 0;  // s; units a second
  int64_t rate_done_ = 0;
};

}  // namespace covary
