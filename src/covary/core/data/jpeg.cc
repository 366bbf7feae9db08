#include <cstddef>
#include <cstdio>
// jpeglib.h needs size_t and FILE before it.
#include <jerror.h>
#include <jpeglib.h>

#include <csetjmp>
#include <cstdlib>
#include <cstring>

#include "covary/core/base/error.h"
#include "covary/core/data/image_codec.h"

namespace covary::data {
namespace {

constexpr const char* kHint = "the file is damaged: write it again from its source";
constexpr int kMostScans =
    500;  // a progressive file may hold thousands of empty scans, each a pass over all pixels

// libjpeg's managers, with what a longjmp must find again.
struct Handler {
  jpeg_error_mgr base;  // first: libjpeg hands us this pointer
  jmp_buf jump;
  char message[JMSG_LENGTH_MAX] = "";
};
struct Progress {
  jpeg_progress_mgr base;
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* handler = reinterpret_cast<Handler*>(info->err);
  if (handler->message[0] == 0) info->err->format_message(info, handler->message);
  longjmp(handler->jump, 1);
}
// Missing pixels are an error here, where libjpeg would fill them with grey; other oddities (extra
// bytes before a marker, as some cameras write) decode fine.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  const int code = info->err->msg_code;
  if (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER) on_error(info);
}
void on_output(j_common_ptr) {}
void on_progress(j_common_ptr info) {
  if (!info->is_decompressor) return;
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMostScans) return;
  std::strcpy(reinterpret_cast<Handler*>(info->err)->message, "too many scans");
  on_error(info);
}

void prepare(Handler& handler) {
  jpeg_std_error(&handler.base);
  handler.base.error_exit = on_error;
  handler.base.emit_message = on_message;
  handler.base.output_message = on_output;
}

bool read_header(jpeg_decompress_struct& jpeg, Handler& handler, const uint8_t* data, size_t size) {
  if (setjmp(handler.jump)) return false;
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, data, size);
  jpeg_read_header(&jpeg, TRUE);
  return true;
}

bool read_rows(jpeg_decompress_struct& jpeg, Handler& handler, uint8_t* pixels, size_t row_bytes) {
  if (setjmp(handler.jump)) return false;
  jpeg.out_color_space = jpeg.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_start_decompress(&jpeg);
  while (jpeg.output_scanline < jpeg.output_height) {
    JSAMPROW row = pixels + static_cast<size_t>(jpeg.output_scanline) * row_bytes;
    jpeg_read_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_decompress(&jpeg);
  return true;
}

class Reader {
 public:
  Reader(std::span<const uint8_t> bytes, const std::string& where)
      : where_(where), size_(bytes.size()) {
    prepare(handler_);
    std::memset(&jpeg_, 0, sizeof jpeg_);
    jpeg_.err = &handler_.base;
    if (!read_header(jpeg_, handler_, bytes.data(), bytes.size())) fail();
    progress_.base.progress_monitor = on_progress;
    jpeg_.progress = &progress_.base;
    if (jpeg_.num_components != 1 && jpeg_.num_components != 3) {
      const int n = jpeg_.num_components;
      jpeg_destroy_decompress(&jpeg_);
      throw Error(ExitCode::kData,
                  "a JPEG of " + std::to_string(n) + " channels (CMYK) is not read", where,
                  "convert the photo to RGB");
    }
  }
  ~Reader() { jpeg_destroy_decompress(&jpeg_); }

  ImageInfo info() const {
    return {static_cast<int>(jpeg_.image_height), static_cast<int>(jpeg_.image_width),
            jpeg_.num_components, 8};
  }

  Image8 pixels() {
    const ImageInfo i = info();
    // Each 8 x 8 block takes at least a bit; subsampling and arithmetic coding leave some room.
    check_size(i.height, i.width, size_, 2048, where_);
    Image8 image(i.height, i.width, i.channels);
    if (!read_rows(jpeg_, handler_, image.pixels.data(), static_cast<size_t>(i.width) * i.channels))
      fail();
    return image;
  }

 private:
  [[noreturn]] void fail() {
    const std::string message = handler_.message;
    jpeg_destroy_decompress(&jpeg_);
    throw Error(ExitCode::kData, "cannot decode this JPEG: " + message, where_, kHint);
  }

  jpeg_decompress_struct jpeg_;
  Handler handler_;
  Progress progress_{};
  std::string where_;
  size_t size_;
};

bool write_rows(jpeg_compress_struct& jpeg, Handler& handler, const Image8& image, int quality,
                unsigned char** data, unsigned long* size) {
  if (setjmp(handler.jump)) return false;
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, data, size);
  jpeg.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.input_components = image.channels;
  jpeg.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor =
      1;  // colour at full resolution
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(image.at(static_cast<int>(jpeg.next_scanline), 0));
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  return true;
}

}  // namespace

bool is_jpeg(std::span<const uint8_t> bytes) {
  return bytes.size() >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

ImageInfo jpeg_info(std::span<const uint8_t> bytes, const std::string& where) {
  return Reader(bytes, where).info();
}
Image8 decode_jpeg(std::span<const uint8_t> bytes, const std::string& where) {
  return Reader(bytes, where).pixels();
}

std::vector<uint8_t> encode_jpeg(const Image8& image, int quality) {
  if (image.empty() || (image.channels != 1 && image.channels != 3))
    throw Error(ExitCode::kFailed, "a JPEG takes 1 or 3 channels and at least one pixel, got " +
                                       std::to_string(image.channels) + " channels");
  if (image.width > 65500 || image.height > 65500)
    throw Error(ExitCode::kFailed, "a JPEG's side is at most 65500 px", "", "write a PNG");
  jpeg_compress_struct jpeg;
  std::memset(&jpeg, 0, sizeof jpeg);
  Handler handler;
  prepare(handler);
  jpeg.err = &handler.base;
  unsigned char* data = nullptr;
  unsigned long size = 0;
  const bool done = write_rows(jpeg, handler, image, quality, &data, &size);
  jpeg_destroy_compress(&jpeg);
  std::vector<uint8_t> bytes;
  if (done) bytes.assign(data, data + size);
  std::free(data);
  if (!done)
    throw Error(ExitCode::kFailed, std::string("cannot encode a JPEG: ") + handler.message);
  return bytes;
}

}  // namespace covary::data
