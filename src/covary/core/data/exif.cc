#include "covary/core/data/exif.h"

#include <array>
#include <cmath>
#include <memory>

#include <libexif/exif-data.h>

namespace covary::data {
namespace {

struct Unref {
  void operator()(ExifData* data) const { exif_data_unref(data); }
};

class Block {
 public:
  explicit Block(ExifData* data) : data_(data), order_(exif_data_get_byte_order(data)) {}

  // Component k of a tag as a number; 0 when absent or of no finite value.
  double number(ExifIfd ifd, ExifTag tag, unsigned k = 0) const {
    const ExifEntry* e = entry(ifd, tag);
    if (!e || k >= e->components) return 0;
    const unsigned size = exif_format_get_size(e->format);
    if (size == 0 || (k + 1) * static_cast<size_t>(size) > e->size) return 0;
    const unsigned char* at = e->data + k * static_cast<size_t>(size);
    double value = 0;
    switch (e->format) {
      case EXIF_FORMAT_BYTE:
        value = *at;
        break;
      case EXIF_FORMAT_SHORT:
        value = exif_get_short(at, order_);
        break;
      case EXIF_FORMAT_LONG:
        value = exif_get_long(at, order_);
        break;
      case EXIF_FORMAT_RATIONAL: {
        const ExifRational r = exif_get_rational(at, order_);
        value = r.denominator ? static_cast<double>(r.numerator) / r.denominator : 0;
        break;
      }
      case EXIF_FORMAT_SRATIONAL: {
        const ExifSRational r = exif_get_srational(at, order_);
        value = r.denominator ? static_cast<double>(r.numerator) / r.denominator : 0;
        break;
      }
      default:
        break;
    }
    return std::isfinite(value) ? value : 0;
  }

  double positive(ExifIfd ifd, ExifTag tag) const { return std::max(0.0, number(ifd, tag)); }

  std::string text(ExifIfd ifd, ExifTag tag) const {
    const ExifEntry* e = entry(ifd, tag);
    if (!e || e->format != EXIF_FORMAT_ASCII || !e->data) return "";
    std::string s(reinterpret_cast<const char*>(e->data), e->size);
    s.resize(std::min(s.size(), s.find('\0')));
    while (!s.empty() && s.back() == ' ') s.pop_back();
    for (char& c : s)
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
    return s;
  }

  // Degrees, minutes and seconds.
  double angle(int tag, int ref, char negative) const {
    const auto part = [&](unsigned k) {
      return number(EXIF_IFD_GPS, static_cast<ExifTag>(tag), k);
    };
    const std::string sign = text(EXIF_IFD_GPS, static_cast<ExifTag>(ref));
    const double degrees = part(0) + part(1) / 60 + part(2) / 3600;
    return !sign.empty() && sign[0] == negative ? -degrees : degrees;
  }

  bool has(ExifIfd ifd, ExifTag tag) const { return entry(ifd, tag) != nullptr; }

 private:
  const ExifEntry* entry(ExifIfd ifd, ExifTag tag) const {
    return exif_content_get_entry(data_->ifd[ifd], tag);
  }

  ExifData* data_;
  ExifByteOrder order_;
};

}  // namespace

std::optional<double> Exif::log2_exposure() const {
  if (!(exposure_s > 0 && f_number > 0 && iso > 0)) return std::nullopt;
  return std::log2(exposure_s * iso / 100 / (f_number * f_number));
}

Eigen::Vector2d Exif::up() const {
  switch (orientation) {  // 2, 4, 5, 7: the mirror keeps or turns the vertical alike
    case 3:
    case 4:
      return {0, 1};
    case 5:
    case 6:
      return {-1, 0};
    case 7:
    case 8:
      return {1, 0};
    default:
      return {0, -1};
  }
}

Exif read_exif(const std::filesystem::path& path) {
  Exif exif;
  const std::unique_ptr<ExifData, Unref> data(exif_data_new_from_file(path.c_str()));
  if (!data) return exif;
  const Block block(data.get());
  const double orientation = block.number(EXIF_IFD_0, EXIF_TAG_ORIENTATION);
  if (orientation >= 1 && orientation <= 8) exif.orientation = static_cast<int>(orientation);
  exif.focal_mm = block.positive(EXIF_IFD_EXIF, EXIF_TAG_FOCAL_LENGTH);
  exif.focal_35mm = block.positive(EXIF_IFD_EXIF, EXIF_TAG_FOCAL_LENGTH_IN_35MM_FILM);
  exif.exposure_s = block.positive(EXIF_IFD_EXIF, EXIF_TAG_EXPOSURE_TIME);
  exif.f_number = block.positive(EXIF_IFD_EXIF, EXIF_TAG_FNUMBER);
  exif.iso = block.positive(EXIF_IFD_EXIF, EXIF_TAG_ISO_SPEED_RATINGS);
  exif.camera = block.text(EXIF_IFD_0, EXIF_TAG_MAKE);
  const std::string model = block.text(EXIF_IFD_0, EXIF_TAG_MODEL);
  exif.camera = model.starts_with(exif.camera) ? model : exif.camera + " " + model;

  constexpr int kLatitudeRef = 1, kLatitude = 2, kLongitudeRef = 3, kLongitude = 4,
                kAltitudeRef = 5, kAltitude = 6;  // tags of the GPS block
  if (block.has(EXIF_IFD_GPS, static_cast<ExifTag>(kLatitude)) &&
      block.has(EXIF_IFD_GPS, static_cast<ExifTag>(kLongitude))) {
    const bool below = block.number(EXIF_IFD_GPS, static_cast<ExifTag>(kAltitudeRef)) == 1;
    const double altitude = block.number(EXIF_IFD_GPS, static_cast<ExifTag>(kAltitude));
    const Eigen::Vector3d gps(block.angle(kLatitude, kLatitudeRef, 'S'),
                              block.angle(kLongitude, kLongitudeRef, 'W'),
                              below ? -altitude : altitude);
    // Phones write zeros where they did not know.
    if (std::abs(gps[0]) <= 90 && std::abs(gps[1]) <= 180 && (gps[0] != 0 || gps[1] != 0))
      exif.gps = gps;
  }
  return exif;
}

}  // namespace covary::data
