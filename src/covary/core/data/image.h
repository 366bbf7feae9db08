// Pictures in memory and on disk: 8-bit or float, H x W x C, row-major, sRGB as stored; torch-free.
//
//   Image8 photo = read_image("a.jpg");            // PNG (8, 16 bit), JPEG; kind by content
//   Image8 small = resize_area(photo, 480, 270);   // each filter has its name: it moves PSNR by 0.5 dB
//   write_image("b.png", small);                   // atomic; PNG or JPEG (quality 95) by extension
//
// Errors: Error(kData) naming the file: missing, unknown kind, truncated, absurd size (over 1 Gpx), bad channel count.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "covary/core/base/page_allocator.h"

namespace covary::data {

template <class T>
struct ImageOf {
  int height = 0, width = 0, channels = 0;
  std::vector<T, PageAllocator<T>> pixels;  // height * width * channels

  ImageOf() = default;
  ImageOf(int h, int w, int c)
      : height(h), width(w), channels(c), pixels(static_cast<size_t>(h) * w * c) {}
  bool empty() const { return pixels.empty(); }
  T* at(int y, int x) { return pixels.data() + (static_cast<size_t>(y) * width + x) * channels; }
  const T* at(int y, int x) const {
    return pixels.data() + (static_cast<size_t>(y) * width + x) * channels;
  }
};
using Image8 = ImageOf<uint8_t>;    // 0..255
using Image16 = ImageOf<uint16_t>;  // PNG 16-bit: depth in file units
using ImageF = ImageOf<float>;      // nominally [0, 1]

struct ImageInfo {
  int height = 0, width = 0, channels = 0, bits = 8;
};
ImageInfo image_info(const std::filesystem::path& path);  // from the header alone
// 16-bit is reduced to 8; palette expanded; 1, 3 or 4 channels.
Image8 read_image(const std::filesystem::path& path);
Image16 read_image16(const std::filesystem::path& path);  // PNG; 8-bit values come as v * 257
// The same from bytes in memory; `where` stands for the file's name in errors.
ImageInfo image_info(std::span<const uint8_t> bytes, const std::string& where);
Image8 decode_image(std::span<const uint8_t> bytes, const std::string& where);
void write_image(const std::filesystem::path& path, const Image8& image);
void write_image16(const std::filesystem::path& path, const Image16& image);  // PNG
std::vector<uint8_t> encode_png(const Image8& image);  // for self-contained reports
std::vector<uint8_t> encode_jpeg(const Image8& image, int quality);

ImageF to_float(const Image8& image);  // v / 255
Image8 to_bytes(const ImageF& image);  // round(clamp(v, 0, 1) * 255)

// Alpha is always straight (not premultiplied), as in PNG.

// Area average: each output pixel is the exact mean of the input area it covers. Any size down; alpha, if a fourth
// channel is there, weights the colours (premultiplied averaging).
Image8 resize_area(const Image8& image, int width, int height);
// Lanczos-3, antialiased when shrinking.
Image8 resize_lanczos(const Image8& image, int width, int height);
// Nearest pixel centre, for masks, ids and depth.
template <class T>
ImageOf<T> resize_nearest(const ImageOf<T>& image, int width, int height);

}  // namespace covary::data
