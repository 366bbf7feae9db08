#include "covary/core/data/exif.h"

#include <algorithm>
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

void put(std::string& out, uint64_t value, int bytes) {  // little-endian
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

}  // namespace

std::optional<double> Exif::log2_exposure() const {
  if (!(exposure_s > 0 && f_number > 0 && iso > 0)) return std::nullopt;
  return std::log2(exposure_s * iso / 100 / (f_number * f_number));
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

std::string exif_block(const Exif& exif) {
  constexpr uint16_t kExifIfd = 0x8769, kShort = 3, kLong = 4, kRational = 5;
  constexpr uint64_t kHeader = 8;  // bytes of the TIFF header; places are counted from its start
  struct Tag {
    uint16_t id, type;
    double value;
    uint32_t denominator = 1;  // of a rational
  };
  std::vector<Tag> first, exposure;  // ascending, as the format asks
  if (exif.orientation != 1)
    first.push_back({EXIF_TAG_ORIENTATION, kShort, static_cast<double>(exif.orientation)});
  if (exif.exposure_s > 0)
    exposure.push_back({EXIF_TAG_EXPOSURE_TIME, kRational, exif.exposure_s, 1000000});
  if (exif.f_number > 0) exposure.push_back({EXIF_TAG_FNUMBER, kRational, exif.f_number, 10000});
  if (exif.iso > 0) exposure.push_back({EXIF_TAG_ISO_SPEED_RATINGS, kShort, exif.iso});
  if (first.empty() && exposure.empty()) return "";
  const auto bytes = [](size_t tags) { return 2 + 12 * tags + 4; };
  const uint64_t second_at = kHeader + bytes(first.size() + 1);
  first.push_back({kExifIfd, kLong, static_cast<double>(second_at)});

  std::string out("Exif\0\0II*\0\x08\0\0\0", 14), behind;
  const uint64_t behind_at = second_at + bytes(exposure.size());
  for (const auto* tags : {&first, &exposure}) {
    put(out, tags->size(), 2);
    for (const Tag& t : *tags) {
      const double most = t.type == kShort ? 65535.0 : 4294967295.0;
      const auto number =
          static_cast<uint64_t>(std::clamp(std::round(t.value * t.denominator), 1.0, most));
      put(out, t.id, 2);
      put(out, t.type, 2);
      put(out, 1, 4);
      put(out, t.type == kRational ? behind_at + behind.size() : number, 4);
      if (t.type != kRational) continue;
      put(behind, number, 4);
      put(behind, t.denominator, 4);
    }
    put(out, 0, 4);
  }
  return out + behind;
}

std::vector<uint8_t> with_exif_block(const std::vector<uint8_t>& jpeg, const std::string& block) {
  constexpr size_t kMarker = 2;  // the first, which starts the picture
  const size_t size = block.size() + 2;
  if (block.empty() || size > 65535 || jpeg.size() < kMarker) return jpeg;
  std::vector<uint8_t> out(jpeg.begin(), jpeg.begin() + kMarker);
  for (const size_t byte : {size_t{0xff}, size_t{0xe1}, size >> 8, size & 255})
    out.push_back(static_cast<uint8_t>(byte));
  out.insert(out.end(), block.begin(), block.end());
  out.insert(out.end(), jpeg.begin() + kMarker, jpeg.end());
  return out;
}

}  // namespace covary::data
