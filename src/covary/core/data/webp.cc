#include "covary/core/data/webp.h"

#include <webp/decode.h>
#include <webp/encode.h>

#include <cstring>

#include "covary/core/base/error.h"

namespace covary::data {
namespace {

constexpr const char* kHint = "the file is damaged or incomplete: write or copy it again";

// A picture of one colour takes no bits a pixel, so that bytes bound nothing below this size.
constexpr uint64_t kFreePixels = 1 << 22;
constexpr uint64_t kMostPixelsPerByte = 4096;

WebPBitstreamFeatures features_of(std::span<const uint8_t> bytes, const std::string& where) {
  WebPBitstreamFeatures f;
  if (!is_webp(bytes) || WebPGetFeatures(bytes.data(), bytes.size(), &f) != VP8_STATUS_OK)
    throw Error(ExitCode::kData, "not a WebP picture, or it is damaged", where, kHint);
  if (f.has_animation)
    throw Error(ExitCode::kData, "a moving WebP picture is not read", where, "save one frame");
  const uint64_t pixels = static_cast<uint64_t>(f.width) * static_cast<uint64_t>(f.height);
  if (pixels > kFreePixels && pixels / kMostPixelsPerByte > bytes.size())
    throw Error(ExitCode::kData,
                "the picture says it has " + std::to_string(pixels) + " pixels in " +
                    std::to_string(bytes.size()) + " bytes",
                where, kHint);
  return f;
}

}  // namespace

bool is_webp(std::span<const uint8_t> bytes) {
  return bytes.size() >= 12 && std::memcmp(bytes.data(), "RIFF", 4) == 0 &&
         std::memcmp(bytes.data() + 8, "WEBP", 4) == 0;
}

ImageInfo webp_info(std::span<const uint8_t> bytes, const std::string& where) {
  const WebPBitstreamFeatures f = features_of(bytes, where);
  return {f.height, f.width, f.has_alpha ? 4 : 3, 8};
}

Image8 decode_webp(std::span<const uint8_t> bytes, const std::string& where) {
  const WebPBitstreamFeatures f = features_of(bytes, where);
  Image8 image(f.height, f.width, 4);
  if (!WebPDecodeRGBAInto(bytes.data(), bytes.size(), image.pixels.data(), image.pixels.size(),
                          4 * f.width))
    throw Error(ExitCode::kData, "the picture cannot be decoded", where, kHint);
  return image;
}

std::vector<uint8_t> encode_webp(const Image8& image, int effort) {
  if (image.channels != 4 || image.width < 1 || image.height < 1 || image.width > kMostWebpSide ||
      image.height > kMostWebpSide)
    throw Error(ExitCode::kFailed,
                "a picture of " + std::to_string(image.width) + "x" + std::to_string(image.height) +
                    "x" + std::to_string(image.channels) + " does not fit WebP",
                "encode_webp");
  WebPConfig config;
  WebPPicture picture;
  if (!WebPConfigInit(&config) || !WebPConfigLosslessPreset(&config, effort) ||
      !WebPPictureInit(&picture))
    throw Error(ExitCode::kFailed, "libwebp is of another version than its headers", "encode_webp");
  config.exact = 1;
  picture.use_argb = 1;
  picture.width = image.width;
  picture.height = image.height;
  WebPMemoryWriter writer;
  WebPMemoryWriterInit(&writer);
  picture.writer = WebPMemoryWrite;
  picture.custom_ptr = &writer;
  const bool done = WebPPictureImportRGBA(&picture, image.pixels.data(), 4 * image.width) != 0 &&
                    WebPEncode(&config, &picture) != 0;
  const int fault = picture.error_code;
  WebPPictureFree(&picture);
  std::vector<uint8_t> bytes;
  if (done) bytes.assign(writer.mem, writer.mem + writer.size);
  WebPMemoryWriterClear(&writer);
  if (!done)
    throw Error(ExitCode::kFailed, "libwebp failed (" + std::to_string(fault) + ")", "encode_webp",
                "free some memory");
  return bytes;
}

}  // namespace covary::data
