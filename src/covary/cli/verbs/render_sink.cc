#include "covary/cli/verbs/render_sink.h"

#include <algorithm>
#include <utility>

#include "covary/cli/verbs/places.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/threads.h"

namespace covary::cli {
namespace {

namespace fs = std::filesystem;

// The pictures of a frame side by side.
data::Image8 joined(const std::vector<data::Image8>& pictures) {
  data::Image8 wide(pictures[0].height, pictures[0].width * static_cast<int>(pictures.size()), 3);
  for (size_t k = 0; k < pictures.size(); ++k)
    for (int y = 0; y < wide.height; ++y)
      std::copy_n(pictures[k].at(y, 0), pictures[k].width * 3,
                  wide.at(y, static_cast<int>(k) * pictures[k].width));
  return wide;
}

}  // namespace

Sink::Sink(fs::path out, const RenderOptions& options, bool overwrite)
    : out_(std::move(out)), options_(options) {
  video_ = data::is_video(out_);
  const std::string e = out_.extension().string();
  picture_ = e == ".png" || e == ".jpg" || e == ".jpeg";
  if (!video_ && !picture_ && !e.empty() && !fs::is_directory(out_))
    for (const char* other : {".ply", ".json", ".html", ".avi", ".webp", ".exr"})
      if (e == other)
        throw Error(ExitCode::kUsage, "cannot render to " + e, "-o " + out_.string(),
                    "name a folder, .mp4, .webm, .gif, .png or .jpg");
  if (video_ || picture_) keep_what_is_there(out_, overwrite);
  if (!video_ && !picture_ && !overwrite && !is_empty_or_absent(out_))
    throw Error(ExitCode::kData, "the folder is not empty", out_.string(),
                "add --overwrite, or choose another");
}

void Sink::open() {
  if (video_ || picture_) {
    AtomicFile probe(out_);
    return;
  }
  for (const std::string& mode : options_.modes) make_folder(out_ / mode);
}

void Sink::check(size_t frames) const {
  if (picture_ && frames != 1)
    throw Error(ExitCode::kUsage, std::to_string(frames) + " pictures do not fit in one file",
                "-o " + out_.string(),
                "name a folder or a video; or render one frame: --frames 1 --path orbit");
}

void Sink::write_files(const Shown& frame) const {
  for (size_t k = 0; k < frame.pictures.size(); ++k) {
    const fs::path file =
        out_ / options_.modes[k] / (fs::path(frame.name).stem().string() + ".png");
    if (options_.modes[k] == "depth")
      data::write_image16(file, frame.depth);
    else
      data::write_image(file, frame.pictures[k]);
  }
}

void Sink::write(int64_t n, const std::function<Shown(int64_t)>& shown) {
  if (!video_ && !picture_) {
    parallel_tasks(n, [&](int64_t i) { write_files(shown(i)); });
    return;
  }
  std::vector<data::Image8> wide(static_cast<size_t>(n));
  parallel_tasks(n, [&](int64_t i) { wide[static_cast<size_t>(i)] = joined(shown(i).pictures); });
  for (const data::Image8& picture : wide) {
    if (picture_) {
      data::write_image(out_, picture);
      continue;
    }
    if (!writer_)
      writer_ = std::make_unique<data::VideoWriter>(
          out_, picture.width, picture.height,
          data::VideoOptions{options_.fps, static_cast<int>(options_.quality)});
    writer_->write(picture);
  }
}

void Sink::finish(const nlohmann::json& record) {
  if (writer_) writer_->commit();
  if (!video_ && !picture_) write_file(out_ / "render.json", record.dump(2) + "\n");
}

}  // namespace covary::cli
