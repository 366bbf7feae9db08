#include "covary/core/data/image.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <fstream>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/names.h"
#include "covary/core/data/image_codec.h"

namespace covary::data {
namespace {

std::span<const uint8_t> as_bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

[[noreturn]] void unknown_kind(const std::string& where) {
  throw Error(ExitCode::kData, "not a PNG or JPEG file", where,
              "convert the picture to PNG or JPEG");
}

void write_bytes(const std::filesystem::path& path, const std::vector<uint8_t>& bytes) {
  write_file(path, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

}  // namespace

void check_size(uint64_t height, uint64_t width, uint64_t bytes, double pixels_per_byte,
                const std::string& where) {
  const double pixels = static_cast<double>(height) * static_cast<double>(width);
  const std::string size = std::to_string(width) + " x " + std::to_string(height);
  if (pixels > static_cast<double>(1 << 30))
    throw Error(ExitCode::kData, "the header says " + size + " pixels, more than 2^30", where,
                "shrink the picture");
  if (pixels > pixels_per_byte * static_cast<double>(bytes))
    throw Error(ExitCode::kData,
                "the header says " + size + " pixels, more than its " + std::to_string(bytes) +
                    " bytes can hold",
                where, "the file is damaged: write it again from its source");
}

ImageInfo image_info(std::span<const uint8_t> bytes, const std::string& where) {
  if (is_png(bytes)) return png_info(bytes, where);
  if (is_jpeg(bytes)) return jpeg_info(bytes, where);
  unknown_kind(where);
}

Image8 decode_image(std::span<const uint8_t> bytes, const std::string& where) {
  if (is_png(bytes)) return decode_png(bytes, where);
  if (is_jpeg(bytes)) return decode_jpeg(bytes, where);
  unknown_kind(where);
}

ImageInfo image_info(const std::filesystem::path& path) {
  // The size stands near the start, unless a large preview comes first.
  std::string start(65536, 0);
  if (std::ifstream file(path, std::ios::binary); file) {
    file.read(start.data(), static_cast<std::streamsize>(start.size()));
    start.resize(static_cast<size_t>(file.gcount()));
    try {
      return image_info(as_bytes(start), path.string());
    } catch (const Error&) {
      if (start.size() < 65536) throw;
    }
  }
  const std::string bytes = read_file(path);
  return image_info(as_bytes(bytes), path.string());
}

Image8 read_image(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  return decode_image(as_bytes(bytes), path.string());
}

Image16 read_image16(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  if (!is_png(as_bytes(bytes)))
    throw Error(ExitCode::kData, "16-bit pictures are read from PNG only", path.string(),
                "convert it to PNG");
  return decode_png16(as_bytes(bytes), path.string());
}

void write_image(const std::filesystem::path& path, const Image8& image) {
  const std::string extension = lower_extension(path);
  if (extension == ".png") return write_bytes(path, encode_png(image));
  if (extension == ".jpg" || extension == ".jpeg") return write_bytes(path, encode_jpeg(image, 95));
  throw Error(ExitCode::kUsage, "unknown kind of picture '" + extension + "'", path.string(),
              "name it .png or .jpg");
}

void write_image16(const std::filesystem::path& path, const Image16& image) {
  write_bytes(path, encode_png16(image));
}

ImageF to_float(const Image8& image) {
  ImageF out(image.height, image.width, image.channels);
  std::transform(image.pixels.begin(), image.pixels.end(), out.pixels.begin(),
                 [](uint8_t v) { return static_cast<float>(v) / 255.0f; });
  return out;
}

Image8 to_bytes(const ImageF& image) {
  Image8 out(image.height, image.width, image.channels);
  // A NaN fails both comparisons of clamp; it becomes 0.
  std::transform(image.pixels.begin(), image.pixels.end(), out.pixels.begin(), [](float v) {
    return std::isnan(v) ? uint8_t{0}
                         : static_cast<uint8_t>(std::lround(std::clamp(v, 0.0f, 1.0f) * 255.0f));
  });
  return out;
}

}  // namespace covary::data
