#include "covary/splat/capture/photos.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/names.h"
#include "covary/core/base/progress.h"
#include "covary/core/data/unpack.h"
#include "covary/core/data/video_frames.h"
#include "covary/splat/capture/frame_choice.h"

namespace covary::capture {
namespace {

namespace fs = std::filesystem;

constexpr int kTurnedQuality = 97;  // JPEG, of photos written again
constexpr int kScoredSide = 320;    // px, of a video's frames when they are judged
constexpr int64_t kFewestPhotos = 3;
constexpr size_t kNamed = 3;  // files that a note names

bool is_photo(const std::string& e) { return e == ".jpg" || e == ".jpeg" || e == ".png"; }

// Pictures that are not read here: named, so that nobody wonders where they went.
bool is_foreign_picture(const std::string& e) {
  for (const char* known : {".heic", ".heif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".tif",
                            ".tiff", ".webp", ".bmp", ".avif"})
    if (e == known) return true;
  return false;
}

void check_count(const PhotoSet& set, const fs::path& where) {
  if (set.photos.empty())
    throw Error(ExitCode::kData, "there are no photos", where.string(),
                set.notes.empty() ? "photos are .jpg or .png files" : set.notes.front());
  if (static_cast<int64_t>(set.photos.size()) < kFewestPhotos)
    throw Error(
        ExitCode::kData,
        "there are " + std::to_string(set.photos.size()) + " photos, too few to find cameras",
        where.string(), "take 20 or more around the scene, each overlapping the next by half");
}

// A name without white space, which COLMAP's lists part names by: _ stands for it, and for a name that is taken already
// more of them.
std::string plain_name(const std::string& name, const std::set<std::string>& taken) {
  std::string plain = name;
  for (char& c : plain)
    if (std::isspace(static_cast<unsigned char>(c))) c = '_';
  while (taken.contains(plain)) plain.insert(plain.rfind('/') + 1, "_");  // npos + 1 is 0
  return plain;
}

// Hard link, or a copy where that fails or is not wanted.
void bring(const fs::path& from, const fs::path& to, bool link) {
  std::error_code fault;
  fs::remove(to, fault);
  if (link) {
    fs::create_hard_link(fs::canonical(from), to, fault);
    if (!fault) return;
  }
  write_file(to, read_file(from));
}

// The mask of a photo in a folder of masks, as load_capture looks for it; empty when there is none.
fs::path mask_of(const fs::path& masks, const std::string& name) {
  for (const fs::path& p :
       {masks / (name + ".png"), masks / name, (masks / name).replace_extension(".png")})
    if (fs::is_regular_file(p)) return p;
  return {};
}

// A mask follows its photo: its name, and its turn when it has the size of the stored photo.
void bring_mask(const fs::path& from, const fs::path& to, int orientation, bool turned_size,
                bool link) {
  make_folder(to.parent_path());
  if (orientation == 1 || !turned_size)
    bring(from, to, link);
  else
    data::write_image(to, upright(data::read_image(from), orientation));
}

}  // namespace

InputKind kind_of(const fs::path& input) {
  std::error_code ignored;
  if (fs::is_directory(input, ignored)) return InputKind::kFolder;
  if (!fs::is_regular_file(input, ignored)) return InputKind::kOther;
  if (data::is_zip(input) && lower_extension(input) != ".cov" && lower_extension(input) != ".npz")
    return InputKind::kZip;
  return data::is_readable_video(input) ? InputKind::kVideo : InputKind::kOther;
}

bool holds_photos(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(
           folder, fs::directory_options::skip_permission_denied, ignored)) {
    const std::string e = lower_extension(entry.path());
    if (entry.is_regular_file(ignored) &&
        (is_photo(e) || is_foreign_picture(e) || data::is_readable_video(entry.path())))
      return true;
  }
  return false;
}

fs::path folder_of_photos(const fs::path& folder) {
  if (fs::is_directory(folder / "images")) return folder / "images";
  // An archive often holds one folder with all inside.
  fs::path at = folder;
  for (int depth = 0; depth < 4; ++depth) {
    std::vector<fs::path> folders;
    bool files = false;
    for (const auto& entry : fs::directory_iterator(at)) {
      if (entry.path().filename().string().starts_with(".")) continue;
      if (entry.is_directory())
        folders.push_back(entry.path());
      else
        files = true;
    }
    if (files || folders.size() != 1) break;
    at = folders[0];
    if (fs::is_directory(at / "images")) return at / "images";
  }
  return at;
}

PhotoSet list_photos(const fs::path& folder) {
  PhotoSet set;
  std::map<std::string, std::vector<std::string>> foreign;
  std::vector<std::string> broken, names;
  fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied), end;
  for (; it != end; ++it) {
    const std::string last = it->path().filename().string();
    if (last.starts_with(".") || (it->is_directory() && last == "masks")) {
      if (it->is_directory()) it.disable_recursion_pending();
      continue;
    }
    if (!it->is_regular_file()) continue;
    const std::string e = lower_extension(it->path()),
                      name = it->path().lexically_relative(folder).generic_string();
    if (is_photo(e))
      names.push_back(name);
    else if (is_foreign_picture(e))
      foreign[e].push_back(name);
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    Photo photo;
    photo.name = name;
    try {
      const data::ImageInfo info = data::image_info(folder / name);
      photo.width = info.width;
      photo.height = info.height;
    } catch (const Error&) {
      broken.push_back(name);
      continue;
    }
    photo.exif = data::read_exif(folder / name);
    if (photo.exif.orientation >= 5) std::swap(photo.width, photo.height);
    set.photos.push_back(std::move(photo));
  }
  if (!broken.empty())
    set.notes.push_back(
        std::to_string(broken.size()) +
        " files cannot be read as pictures and were left out: " + list_some(broken, kNamed));
  for (const auto& [e, files] : foreign)
    set.notes.push_back(std::to_string(files.size()) + " " + e +
                        " files are not read: convert them to .jpg (" + list_some(files, kNamed) +
                        ")");
  return set;
}

data::Image8 upright(const data::Image8& image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool turned = orientation >= 5;
  data::Image8 out(turned ? image.width : image.height, turned ? image.height : image.width,
                   image.channels);
  const int w = image.width, h = image.height;
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x) {
      // Where the shown pixel is stored.
      int sx = turned ? y : x, sy = turned ? x : y;
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8)
        sx = w - 1 - sx;
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7)
        sy = h - 1 - sy;
      std::copy_n(image.at(sy, sx), image.channels, out.at(y, x));
    }
  return out;
}

PhotoSet gather_photos(const fs::path& folder, const fs::path& images,
                       const PhotoOptions& options) {
  PhotoSet set = list_photos(folder);
  check_count(set, folder);
  std::vector<std::string> turned, unreadable, renamed;
  // Beside images/, or among the photos.
  fs::path masks = (folder.filename() == "images" ? folder.parent_path() : folder) / "masks";
  if (!fs::is_directory(masks)) masks.clear();
  int64_t masked = 0;
  std::set<std::string> taken;
  for (const Photo& p : set.photos) taken.insert(p.name);
  Progress progress("photos", static_cast<int64_t>(set.photos.size()), "photos");
  for (size_t i = 0; i < set.photos.size(); ++i) {
    if (const int code = interrupted()) throw Interrupted{code};
    Photo& photo = set.photos[i];
    const fs::path from = folder / photo.name;
    if (std::any_of(photo.name.begin(), photo.name.end(),
                    [](unsigned char c) { return std::isspace(c); })) {
      renamed.push_back(photo.name);
      photo.name = plain_name(photo.name, taken);
      taken.insert(photo.name);
    }
    const fs::path to = images / photo.name;
    const fs::path mask = masks.empty()
                              ? fs::path()
                              : mask_of(masks, from.lexically_relative(folder).generic_string());
    if (!mask.empty()) {
      const data::ImageInfo m = data::image_info(mask);
      const bool sideways = photo.exif.orientation >= 5;
      bring_mask(mask, images.parent_path() / "masks" / (photo.name + ".png"),
                 photo.exif.orientation,
                 m.width == (sideways ? photo.height : photo.width) &&
                     m.height == (sideways ? photo.width : photo.height),
                 options.images == "link");
      ++masked;
    }
    make_folder(to.parent_path());
    if (photo.exif.orientation == 1) {
      bring(from, to, options.images == "link");
    } else {
      std::optional<data::Image8> picture;
      try {
        picture = upright(data::read_image(from), photo.exif.orientation);
      } catch (const Error&) {
        unreadable.push_back(photo.name);
        photo.name.clear();
        continue;
      }
      photo.exif.orientation = 1;
      if (lower_extension(to) == ".png") {
        data::write_image(to, *picture);
      } else {
        const std::vector<uint8_t> bytes = data::with_exif_block(
            data::encode_jpeg(*picture, kTurnedQuality), data::exif_block(photo.exif));
        write_file(to, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
      }
      turned.push_back(photo.name);
    }
    progress.update(static_cast<int64_t>(i) + 1);
  }
  std::erase_if(set.photos, [](const Photo& p) { return p.name.empty(); });
  if (!unreadable.empty())
    set.notes.push_back(std::to_string(unreadable.size()) +
                        " photos are damaged and were left out: " + list_some(unreadable, kNamed));
  if (!turned.empty())
    set.notes.push_back(std::to_string(turned.size()) +
                        " photos were stored turned: they are written upright, at JPEG quality " +
                        std::to_string(kTurnedQuality));
  if (masked > 0)
    set.notes.push_back(std::to_string(masked) + " photos have a mask, which the capture keeps");
  if (!renamed.empty())
    set.notes.push_back(
        std::to_string(renamed.size()) +
        " names hold spaces, for which _ stands in the capture: " + list_some(renamed, kNamed));
  check_count(set, folder);
  return set;
}

PhotoSet gather_frames(const fs::path& video, const fs::path& images, const PhotoOptions& options) {
  FrameScorer scorer;
  {
    Progress progress("frames", 0, "frames");
    data::for_each_grey_frame(video, kScoredSide, [&](int64_t i, const data::Image8& grey) {
      scorer.add(grey);
      progress.update(i + 1);
    });
  }
  const FrameChoice chosen = choose_frames(scorer.scores(), {.count = options.frames});
  make_folder(images);
  PhotoSet set;
  set.sequence = true;
  for (const fs::path& file : data::write_frames(video, chosen.frames, images)) {
    Photo photo;
    photo.name = file.filename().string();
    const data::ImageInfo info = data::image_info(file);
    photo.width = info.width;
    photo.height = info.height;
    set.photos.push_back(std::move(photo));
  }
  set.notes.push_back(std::to_string(set.photos.size()) + " of " +
                      std::to_string(scorer.scores().size()) + " frames were taken" +
                      (chosen.blurred_windows > 0
                           ? "; " + std::to_string(chosen.blurred_windows) +
                                 " stretches were left out, being blurred throughout"
                           : ""));
  check_count(set, video);
  return set;
}

}  // namespace covary::capture
