#include <png.h>
#include <zlib.h>

#include <bit>
#include <csetjmp>
#include <cstdlib>
#include <cstring>

#include "covary/core/base/error.h"
#include "covary/core/data/image_codec.h"

namespace covary::data {
namespace {

constexpr const char* kHint = "the file is damaged: write it again from its source";

struct Input {
  const uint8_t* data;
  size_t size, used;
};

// Everything that a longjmp must find again; the message is copied because libpng's text does not
// outlive the jump.
struct Codec {
  png_structp png = nullptr;
  png_infop info = nullptr;
  Input input{};
  std::vector<uint8_t>* output = nullptr;
  char message[160] = "";
};

void on_error(png_structp png, png_const_charp message) {
  auto* codec = static_cast<Codec*>(png_get_error_ptr(png));
  std::strncpy(codec->message, message, sizeof codec->message - 1);
  png_longjmp(png, 1);
}
void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep to, png_size_t n) {
  auto* in = static_cast<Input*>(png_get_io_ptr(png));
  if (n > in->size - in->used) png_error(png, "the file ends too early");
  std::memcpy(to, in->data + in->used, n);
  in->used += n;
}

class Reader {
 public:
  Reader(std::span<const uint8_t> bytes, const std::string& where) : where_(where) {
    codec_.input = {bytes.data(), bytes.size(), 0};
    codec_.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &codec_, on_error, on_warning);
    if (codec_.png) codec_.info = png_create_info_struct(codec_.png);
    if (!codec_.info) {
      png_destroy_read_struct(&codec_.png, nullptr, nullptr);
      throw Error(ExitCode::kFailed, "out of memory in libpng", where);
    }
    png_set_read_fn(codec_.png, &codec_.input, on_read);
    if (!header()) fail();
  }
  ~Reader() { png_destroy_read_struct(&codec_.png, &codec_.info, nullptr); }

  ImageInfo info() const {
    const int type = png_get_color_type(codec_.png, codec_.info);
    const bool transparent = png_get_valid(codec_.png, codec_.info, PNG_INFO_tRNS) != 0;
    const bool color = (type & PNG_COLOR_MASK_COLOR) != 0;
    const bool alpha = (type & PNG_COLOR_MASK_ALPHA) != 0 || transparent;
    ImageInfo i;
    i.height = static_cast<int>(png_get_image_height(codec_.png, codec_.info));
    i.width = static_cast<int>(png_get_image_width(codec_.png, codec_.info));
    i.channels = alpha ? 4 : (color ? 3 : 1);
    i.bits = png_get_bit_depth(codec_.png, codec_.info) == 16 ? 16 : 8;
    return i;
  }

  // Pixels as 8 bit, or as 16 bit in the machine's order.
  template <class T>
  ImageOf<T> pixels() {
    const ImageInfo i = info();
    // Deflate shrinks at most 1032 times; rows are at least width / 8 bytes (1 bit a pixel).
    const int bits =
        png_get_bit_depth(codec_.png, codec_.info) * png_get_channels(codec_.png, codec_.info);
    check_size(i.height, i.width, codec_.input.size, 1032.0 * 8 / bits, where_);
    ImageOf<T> image(i.height, i.width, i.channels);
    std::vector<png_bytep> rows(static_cast<size_t>(i.height));
    for (int y = 0; y < i.height; ++y) rows[y] = reinterpret_cast<png_bytep>(image.at(y, 0));
    if (!body(rows.data(), sizeof(T) == 2, i.channels,
              static_cast<size_t>(i.width) * i.channels * sizeof(T)))
      fail();
    return image;
  }

 private:
  bool header() {
    if (setjmp(png_jmpbuf(codec_.png))) return false;
    png_set_user_limits(codec_.png, 1u << 30, 1u << 30);
    png_set_chunk_malloc_max(codec_.png, 16u << 20);
    png_read_info(codec_.png, codec_.info);
    return true;
  }

  bool body(png_bytepp rows, bool wide, int channels, size_t row_bytes) {
    if (setjmp(png_jmpbuf(codec_.png))) return false;
    png_structp png = codec_.png;
    png_set_expand(png);  // palettes, fewer than 8 bits, tRNS
    if (wide) {
      png_set_expand_16(png);
      if constexpr (std::endian::native == std::endian::little) png_set_swap(png);
    } else {
      png_set_scale_16(png);
    }
    if (channels == 4) png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, codec_.info);
    if (png_get_rowbytes(png, codec_.info) != row_bytes) png_error(png, "unexpected row size");
    png_read_image(png, rows);
    png_read_end(png, nullptr);
    return true;
  }

  [[noreturn]] void fail() {
    const std::string message = codec_.message;
    png_destroy_read_struct(&codec_.png, &codec_.info, nullptr);
    throw Error(ExitCode::kData, "cannot decode this PNG: " + message, where_, kHint);
  }

  Codec codec_;
  std::string where_;
};

void on_write(png_structp png, png_bytep data, png_size_t n) {
  auto* out = static_cast<std::vector<uint8_t>*>(png_get_io_ptr(png));
  out->insert(out->end(), data, data + n);
}
void on_flush(png_structp) {}

bool write_png(Codec& codec, int height, int width, int channels, int bits, const png_bytep* rows) {
  if (setjmp(png_jmpbuf(codec.png))) return false;
  const int type = channels == 4   ? PNG_COLOR_TYPE_RGBA
                   : channels == 3 ? PNG_COLOR_TYPE_RGB
                                   : PNG_COLOR_TYPE_GRAY;
  png_set_user_limits(codec.png, 1u << 30, 1u << 30);
  png_set_write_fn(codec.png, codec.output, on_write, on_flush);
  if (bits ==
      8) {  // of a photo Paeth leaves noise, in which looking for repeats finds none: as small
            // as level 4 with the filters Sub and Up, in half the time
    png_set_compression_strategy(codec.png, Z_RLE);
    png_set_filter(codec.png, 0, PNG_FILTER_PAETH);
  } else {
    png_set_compression_level(codec.png, 4);
    png_set_filter(codec.png, 0, PNG_FILTER_SUB | PNG_FILTER_UP);
  }
  png_set_IHDR(codec.png, codec.info, width, height, bits, type, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(codec.png, codec.info);
  if (bits == 16 && std::endian::native == std::endian::little) png_set_swap(codec.png);
  png_write_image(codec.png, const_cast<png_bytepp>(rows));
  png_write_end(codec.png, nullptr);
  return true;
}

template <class T>
std::vector<uint8_t> encode(const ImageOf<T>& image) {
  if (image.empty() || (image.channels != 1 && image.channels != 3 && image.channels != 4))
    throw Error(ExitCode::kFailed, "a PNG takes 1, 3 or 4 channels and at least one pixel, got " +
                                       std::to_string(image.channels) + " channels");
  std::vector<uint8_t> bytes;
  Codec codec;
  codec.output = &bytes;
  codec.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &codec, on_error, on_warning);
  if (codec.png) codec.info = png_create_info_struct(codec.png);
  std::vector<png_bytep> rows(static_cast<size_t>(image.height));
  for (int y = 0; y < image.height; ++y)
    rows[y] = reinterpret_cast<png_bytep>(const_cast<T*>(image.at(y, 0)));
  const bool done = codec.info && write_png(codec, image.height, image.width, image.channels,
                                            static_cast<int>(8 * sizeof(T)), rows.data());
  png_destroy_write_struct(&codec.png, &codec.info);
  if (!done) throw Error(ExitCode::kFailed, std::string("cannot encode a PNG: ") + codec.message);
  return bytes;
}

}  // namespace

bool is_png(std::span<const uint8_t> bytes) {
  return bytes.size() >= 8 && png_sig_cmp(const_cast<png_bytep>(bytes.data()), 0, 8) == 0;
}

ImageInfo png_info(std::span<const uint8_t> bytes, const std::string& where) {
  return Reader(bytes, where).info();
}
Image8 decode_png(std::span<const uint8_t> bytes, const std::string& where) {
  return Reader(bytes, where).pixels<uint8_t>();
}
Image16 decode_png16(std::span<const uint8_t> bytes, const std::string& where) {
  return Reader(bytes, where).pixels<uint16_t>();
}
std::vector<uint8_t> encode_png(const Image8& image) { return encode(image); }
std::vector<uint8_t> encode_png16(const Image16& image) { return encode(image); }

}  // namespace covary::data
