// Where the pictures of `covary render` go: a folder for each mode, one video, or one picture.
//
//   Sink sink(out, options, overwrite);    // refuses what cannot be written, before any work
//   sink.check(frames); sink.open();
//   sink.write(n, [&](int64_t i) { return shown(i); });   // a batch, encoded on all threads
//   sink.finish(record);
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/cli/render_options.h"
#include "covary/core/data/image.h"
#include "covary/core/data/video.h"

namespace covary::cli {

// A frame as people see it.
struct Shown {
  std::string name;                    // of its view; its stem names the files
  std::vector<data::Image8> pictures;  // in the order of the modes
  data::Image16 depth;                 // where depth is a mode
};

class Sink {
 public:
  // Error(kUsage) for a kind of file that is not written, Error(kData) for a place that is taken.
  Sink(std::filesystem::path out, const RenderOptions& options, bool overwrite);

  // Before anything is loaded: the place can be written.
  void open();
  // Error(kUsage): so many frames do not fit.
  void check(size_t frames) const;
  bool video() const { return video_; }

  // n frames in order; shown(i) is called on any thread, once a frame.
  void write(int64_t n, const std::function<Shown(int64_t)>& shown);
  void finish(const nlohmann::json& record);

 private:
  void write_files(const Shown& frame) const;

  std::filesystem::path out_;
  const RenderOptions& options_;
  bool video_ = false, picture_ = false;
  std::unique_ptr<data::VideoWriter> writer_;
};

}  // namespace covary::cli
