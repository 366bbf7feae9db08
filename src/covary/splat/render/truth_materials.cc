#include "covary/splat/render/truth_materials.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <utility>
#include <vector>

#include "covary/core/base/random.h"

namespace covary::render {
namespace {

using Eigen::Vector2f;
using Eigen::Vector3f;

constexpr float kPi = std::numbers::pi_v<float>;

uint32_t hash(int x, int y, int z) {
  uint32_t h = static_cast<uint32_t>(x) * 0x9E3779B1u ^ static_cast<uint32_t>(y) * 0x85EBCA77u ^
               static_cast<uint32_t>(z) * 0xC2B2AE3Du;
  h = (h ^ (h >> 15)) * 0x2C1B3C6Du;
  h = (h ^ (h >> 12)) * 0x297A2D39u;
  return h ^ (h >> 15);
}
float hash01(int x, int y, int z = 0) { return static_cast<float>(hash(x, y, z) >> 8) * 0x1p-24f; }

float smooth(float x) {
  x = std::clamp(x, 0.f, 1.f);
  return x * x * (3 - 2 * x);
}
// 0 below the edge, 1 above, blurred over `width` (never sharper than `least`).
float step(float edge, float x, float width, float least = 1e-4f) {
  const float w = std::max(width, least);
  return smooth((x - edge) / w + 0.5f);
}
Vector3f mix(const Vector3f& a, const Vector3f& b, float t) { return a + (b - a) * t; }
float fract(float x) { return x - std::floor(x); }

// The integral of a square wave of period 1.
float pulse_integral(float x, float duty) {
  const float whole = std::floor(x);
  return whole * duty + std::min(x - whole, duty);
}

// A dark blue to green to yellow ramp of even lightness steps.
Vector3f ramp(float t) {
  static const std::array<Vector3f, 6> kStops = {rgb(58, 30, 110),  rgb(50, 84, 160),
                                                 rgb(30, 140, 150), rgb(70, 180, 110),
                                                 rgb(190, 210, 60), rgb(250, 225, 80)};
  const float x = std::clamp(t, 0.f, 1.f) * 4.999f;
  const int i = static_cast<int>(x);
  return mix(kStops[static_cast<size_t>(i)], kStops[static_cast<size_t>(i) + 1],
             x - static_cast<float>(i));
}

// Letters on a 5 x 7 grid, one row a byte, top row first, leftmost column in bit 4.
struct Letter {
  char name;
  std::array<uint8_t, 7> rows;
};
constexpr std::array<Letter, 13> kLetters = {{
    {'C', {0b01110, 0b10001, 0b10000, 0b10000, 0b10000, 0b10001, 0b01110}},
    {'O', {0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110}},
    {'V', {0b10001, 0b10001, 0b10001, 0b10001, 0b01010, 0b01010, 0b00100}},
    {'A', {0b00100, 0b01010, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001}},
    {'R', {0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001}},
    {'Y', {0b10001, 0b10001, 0b01010, 0b00100, 0b00100, 0b00100, 0b00100}},
    {'G', {0b01110, 0b10001, 0b10000, 0b10111, 0b10001, 0b10001, 0b01110}},
    {'U', {0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110}},
    {'S', {0b01111, 0b10000, 0b10000, 0b01110, 0b00001, 0b00001, 0b11110}},
    {'P', {0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000}},
    {'L', {0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111}},
    {'T', {0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100}},
    {'I', {0b01110, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110}},
}};

// The walls' base colour by height.
Vector3f wall_color(float z) {
  static const Vector3f low = rgb(150, 128, 112), middle = rgb(196, 184, 172),
                        high = rgb(112, 132, 160);
  const Vector3f c = mix(low, middle, smooth((z + 0.15f) / 0.35f));
  return mix(c, high, smooth((z - 0.15f) / 0.6f));
}

}  // namespace

Vector3f rgb(int r, int g, int b) {
  const auto linear = [](int v) {
    const float s = static_cast<float>(v) / 255;
    return s <= 0.04045f ? s / 12.92f : std::pow((s + 0.055f) / 1.055f, 2.4f);
  };
  return {linear(r), linear(g), linear(b)};
}

float gradient_noise(const Vector3f& p) {
  // Numbers 0 .. 255 in disorder, twice over: slopes repeat after 256 cells, farther than anyone sees.
  static const std::array<uint8_t, 512> kTable = [] {
    std::array<uint8_t, 512> table;
    const std::vector<int64_t> order = Random(1, stream_of("studio.noise")).permutation(256);
    for (size_t i = 0; i < 512; ++i) table[i] = static_cast<uint8_t>(order[i & 255]);
    return table;
  }();
  const float fx = std::floor(p.x()), fy = std::floor(p.y()), fz = std::floor(p.z());
  const float x = p.x() - fx, y = p.y() - fy, z = p.z() - fz;
  const unsigned ix = static_cast<unsigned>(static_cast<int>(fx)) & 255u;
  const unsigned iy = static_cast<unsigned>(static_cast<int>(fy)) & 255u;
  const unsigned iz = static_cast<unsigned>(static_cast<int>(fz)) & 255u;
  const auto slope = [](unsigned h, float a, float b, float c) {
    // One of 12 directions along the edges of a cube, four of them twice.
    h &= 15u;
    const float u = h < 8 ? a : b, v = h < 4 ? b : (h == 12 || h == 14 ? a : c);
    return ((h & 1u) ? -u : u) + ((h & 2u) ? -v : v);
  };
  const auto ease = [](float t) { return t * t * t * (t * (t * 6 - 15) + 10); };
  const auto lerp = [](float a, float b, float t) { return a + (b - a) * t; };
  const float sx = ease(x), sy = ease(y), sz = ease(z);
  const unsigned a = kTable[ix] + iy, b = kTable[ix + 1] + iy;
  const unsigned aa = kTable[a & 255u] + iz, ab = kTable[(a + 1) & 255u] + iz;
  const unsigned ba = kTable[b & 255u] + iz, bb = kTable[(b + 1) & 255u] + iz;
  const float low =
      lerp(lerp(slope(kTable[aa], x, y, z), slope(kTable[ba], x - 1, y, z), sx),
           lerp(slope(kTable[ab], x, y - 1, z), slope(kTable[bb], x - 1, y - 1, z), sx), sy);
  const float high = lerp(
      lerp(slope(kTable[aa + 1], x, y, z - 1), slope(kTable[ba + 1], x - 1, y, z - 1), sx),
      lerp(slope(kTable[ab + 1], x, y - 1, z - 1), slope(kTable[bb + 1], x - 1, y - 1, z - 1), sx),
      sy);
  return lerp(low, high, sz);
}

float fractal_noise(const Vector3f& p, float frequency, int octaves, float width) {
  float sum = 0, amplitude = 0.5f;
  for (int k = 0; k < octaves; ++k) {
    const float fade = std::clamp(2 - 3.5f * width * frequency, 0.f, 1.f);
    if (fade <= 0) break;
    // Octaves are shifted against each other, so that their lattices do not line up.
    sum += fade * amplitude *
           gradient_noise(p * frequency + Vector3f::Constant(17.3f * static_cast<float>(k)));
    frequency *= 2.03f;
    amplitude *= 0.5f;
  }
  return sum;
}

float filtered_pulse(float x, float duty, float width) {
  const float w = std::max(width, 1e-4f);
  return (pulse_integral(x + w / 2, duty) - pulse_integral(x - w / 2, duty)) / w;
}

float glyph(char letter, float u, float v, float width) {
  if (u <= 0 || u >= 1 || v <= 0 || v >= 1) return 0;
  const Letter* found = nullptr;
  for (const Letter& l : kLetters) {
    if (l.name == letter) found = &l;
  }
  if (!found) return 0;
  // The grid with a margin of one cell, read bilinearly and cut at one half: soft, even strokes.
  const float x = u * 7 - 1.5f, y = (1 - v) * 9 - 1.5f;
  const int ix = static_cast<int>(std::floor(x)), iy = static_cast<int>(std::floor(y));
  const auto bit = [&](int c, int r) {
    if (c < 0 || c > 4 || r < 0 || r > 6) return 0.f;
    return (found->rows[static_cast<size_t>(r)] >> (4 - c)) & 1 ? 1.f : 0.f;
  };
  const float fx = x - static_cast<float>(ix), fy = y - static_cast<float>(iy);
  const float value = (bit(ix, iy) * (1 - fx) + bit(ix + 1, iy) * fx) * (1 - fy) +
                      (bit(ix, iy + 1) * (1 - fx) + bit(ix + 1, iy + 1) * fx) * fy;
  return step(0.42f, value, width * 9, 0.12f);
}

Texture wood_texture(const Vector3f& light, const Vector3f& dark, float ring_spacing) {
  return [=](const TexturePoint& t) {
    const Vector3f q(t.position.x(), t.position.y(), 0.18f * t.position.z());
    const float bend = 0.9f * fractal_noise(q, 1.7f, 3, t.width);
    const float radius = std::hypot(q.x() + 0.45f, q.z() + 0.9f) / ring_spacing + bend * 2.2f;
    const float ring = fract(radius);
    // Late wood darkens towards the end of a ring, then stops short.
    const float w = t.width / ring_spacing;
    const float late = std::clamp(1 - w, 0.f, 1.f) * (ring * ring * step(1, 2 - ring, w)) +
                       0.33f * std::clamp(w, 0.f, 1.f);
    const Vector3f stretched(t.position.x() * 9, t.position.y(), t.position.z() * 9);
    const float fibre = fractal_noise(stretched, 14, 3, t.width * 9);
    return Vector3f(mix(light, dark, std::clamp(0.75f * late + 0.55f * fibre + 0.1f, 0.f, 1.f)));
  };
}

Texture marble_texture(const Vector3f& base, const Vector3f& vein, float size) {
  return [=](const TexturePoint& t) {
    const Vector3f q = t.position / size;
    const float w = t.width / size;
    const float warp = fractal_noise(q, 1.3f, 5, w);
    const float coarse = 1 - std::abs(fractal_noise(q + Vector3f(1.7f, 0, warp), 0.9f, 5, w)) * 7;
    const float fine = 1 - std::abs(fractal_noise(q + Vector3f(5, warp, 2), 2.6f, 4, w)) * 9;
    const float cloud = 0.5f + 0.5f * fractal_noise(q, 0.8f, 3, w);
    const float v = smooth(coarse) * 0.8f + 0.35f * smooth(fine);
    return Vector3f(mix(base * (0.82f + 0.3f * cloud), vein, std::clamp(v, 0.f, 1.f)));
  };
}

Texture speckled_texture(const Vector3f& base, const Vector3f& speck, float size) {
  return [=](const TexturePoint& t) {
    const float n = fractal_noise(t.position, 1 / size, 2, t.width);
    const float coarse = fractal_noise(t.position, 0.2f / size, 3, t.width);
    return Vector3f(mix(base * (1 + 0.25f * coarse), speck, step(0.16f, n, t.width / size, 0.08f)));
  };
}

Texture parquet_texture(float plank_length) {
  const float plank = plank_length / 4;
  return [=](const TexturePoint& t) {
    // Basket weave: squares of four planks each, turned by a quarter from square to square.
    const float x = t.position.x() / plank_length, y = t.position.y() / plank_length;
    const int cx = static_cast<int>(std::floor(x)), cy = static_cast<int>(std::floor(y));
    const bool turned = ((cx + cy) & 1) != 0;
    const float along = (turned ? y : x) - static_cast<float>(turned ? cy : cx);
    const float across = ((turned ? x : y) - static_cast<float>(turned ? cx : cy)) * 4;
    const int number = static_cast<int>(std::floor(across));
    const float tone = hash01(cx * 4 + number, cy, turned ? 7 : 3);
    const float w = t.width / plank;
    const float gap = std::max(
        filtered_pulse(across + 0.02f, 0.04f, w),
        filtered_pulse(along * 4 + 0.02f, 0.04f, 4 * w) * (std::abs(along - 0.5f) > 0.45f));
    const Vector3f q = turned ? Vector3f(t.position.x() * 7, t.position.y(), tone * 20)
                              : Vector3f(t.position.y() * 7, t.position.x(), tone * 20);
    const float grain = fractal_noise(q, 5, 4, t.width * 7);
    const Vector3f c =
        mix(rgb(150, 112, 78), rgb(186, 148, 108), std::clamp(tone + grain, 0.f, 1.f));
    return Vector3f(mix(c, rgb(70, 48, 34), 0.8f * gap));
  };
}

Texture turntable_texture(float radius) {
  const Texture pale = wood_texture(rgb(214, 178, 132), rgb(150, 104, 64), 0.085f);
  return [=](const TexturePoint& t) {
    const float x = t.position.x(), y = t.position.y(), r = std::hypot(x, y) / radius;
    const float w = t.width / radius, a = std::atan2(y, x) / (2 * kPi);
    TexturePoint turned = t;
    turned.position = Vector3f(x, t.position.z(), y);  // the grain runs along y
    Vector3f c = pale(turned);
    // An inlaid band: a dark line either side of triangles.
    const float band = step(0.83f, r, w) * (1 - step(0.93f, r, w));
    const float line =
        step(0.82f, r, w) * (1 - step(0.83f, r, w)) + step(0.93f, r, w) * (1 - step(0.94f, r, w));
    const float sector = fract(a * 48), height = (r - 0.83f) / 0.1f;
    const float tooth = step(0, height - std::abs(2 * sector - 1), w * 10, 0.02f);
    const float aw = w / std::max(r, 0.05f) * 48 / (2 * kPi);
    const Vector3f inlay =
        mix(rgb(52, 40, 38), rgb(206, 92, 60), tooth * std::clamp(1.4f - aw, 0.f, 1.f));
    c = mix(c, inlay, band);
    return Vector3f(mix(c, rgb(40, 30, 28), line));
  };
}

Texture rug_texture(float radius) {
  return [=](const TexturePoint& t) {
    const float x = t.position.x(), y = t.position.y(), r = std::hypot(x, y) / radius;
    const float w = t.width / radius, a = std::atan2(y, x) / (2 * kPi);
    static const std::array<Vector3f, 4> kYarn = {rgb(44, 66, 92), rgb(196, 178, 146),
                                                  rgb(146, 58, 48), rgb(84, 112, 112)};
    const int ring = static_cast<int>(std::floor(r * 11));
    const float petals = static_cast<float>(24 + 6 * (ring % 3));
    const float wave = 0.5f + 0.5f * std::cos(2 * kPi * a * petals + static_cast<float>(ring));
    const float across = fract(r * 11);
    const float aw = w * 11;
    const float shape = step(0, wave * 0.9f - std::abs(2 * across - 1), 3 * aw, 0.15f);
    const Vector3f base = kYarn[static_cast<size_t>(((ring * 7) % 4 + 4) % 4)],
                   other = kYarn[static_cast<size_t>(((ring * 7 + 1 + ring % 2) % 4 + 4) % 4)];
    const float weave = fractal_noise(t.position, 42, 2, t.width);
    Vector3f c = mix(base, other, shape) * (1 + 0.55f * weave);
    return Vector3f(c.cwiseMax(0.f));
  };
}

Texture checker_texture(const Vector3f& a, const Vector3f& b, float columns, float rows,
                        float world_per_u) {
  return [=](const TexturePoint& t) {
    const float w = t.width / world_per_u;
    const float x = 2 * filtered_pulse(t.uv.x() * columns / 2, 0.5f, w * columns / 2) - 1;
    const float y = 2 * filtered_pulse(t.uv.y() * rows / 2, 0.5f, w * rows / 2) - 1;
    const float wear = fractal_noise(t.position, 30, 3, t.width);
    return Vector3f(mix(a, b, 0.5f + 0.5f * x * y) * (1 + 0.2f * wear));
  };
}

Texture letter_block_texture(char letter, const Vector3f& paint, float half_size) {
  const Texture wood = wood_texture(rgb(232, 204, 160), rgb(188, 146, 96), 0.03f);
  return [=](const TexturePoint& t) {
    const Vector3f base = wood(t);
    const float u = t.uv.x(), v = t.uv.y(), w = t.width / (2 * half_size);
    const float edge = std::max(std::abs(u - 0.5f), std::abs(v - 0.5f));
    const float frame = step(0.37f, edge, w) * (1 - step(0.43f, edge, w));
    const float ink =
        std::max(frame, glyph(letter, (u - 0.18f) / 0.64f, (v - 0.14f) / 0.72f, w / 0.7f));
    const float worn = 0.92f + 0.5f * fractal_noise(t.position, 60, 3, t.width);
    return Vector3f(mix(base, paint, ink * std::clamp(worn, 0.f, 1.f)));
  };
}

Texture vase_texture() {
  return [](const TexturePoint& t) {
    const float z = t.position.z(), a = t.uv.x();
    const float w = t.width * 22;
    const Vector3f glaze = rgb(28, 74, 128), cream = rgb(236, 226, 204), ochre = rgb(206, 136, 52);
    const float bands = filtered_pulse(z * 22 + 0.12f * std::sin(2 * kPi * a * 12), 0.5f, w);
    Vector3f c = mix(cream, glaze, bands);
    const float zig = std::abs(2 * fract(a * 16) - 1);
    const float belt = step(0.2f, z, t.width) * (1 - step(0.29f, z, t.width));
    const float tooth = step(zig, (z - 0.2f) / 0.09f, t.width * 25, 0.03f);
    c = mix(c, mix(ochre, rgb(120, 40, 32), tooth), belt);
    const float crackle = std::abs(fractal_noise(t.position, 26, 3, t.width));
    return Vector3f(c * (0.86f + 0.14f * smooth(crackle * 14)));
  };
}

Texture knot_texture(float length) {
  return [=](const TexturePoint& t) {
    const float u = t.uv.x(), v = t.uv.y(), w = t.width / length;
    static const Vector3f warm = rgb(226, 88, 52), gold = rgb(246, 190, 70),
                          violet = rgb(112, 60, 140);
    const float turn = 0.5f + 0.5f * std::sin(2 * kPi * u);
    const Vector3f base = turn < 0.5f ? mix(violet, warm, 2 * turn) : mix(warm, gold, 2 * turn - 1);
    const float spiral = filtered_pulse(u * 60 + v * 2, 0.34f, w * 60);
    const float dots =
        filtered_pulse(u * 120, 0.5f, w * 120) * filtered_pulse(v * 12 + 0.25f, 0.5f, w * 120);
    Vector3f c = mix(base, rgb(248, 236, 214), 0.9f * spiral);
    c = mix(c, rgb(40, 30, 60), 0.75f * dots * (1 - spiral));
    return Vector3f(c * (1 + 0.2f * fractal_noise(t.position, 40, 3, t.width)));
  };
}

Texture book_texture(const Vector3f& cover, const std::string& title, const Vector3f& half) {
  return [=](const TexturePoint& t) {
    const Vector3f& p = t.position;
    const float border = 0.012f, w = t.width;
    const bool flat = std::abs(p.z()) > half.z() - border;
    const bool spine = p.x() < -half.x() + border;
    if (!flat && !spine) {  // the pages' edges
      const float line = filtered_pulse(p.z() * 160, 0.5f, w * 160);
      const float stain = fractal_noise(Vector3f(p.x(), p.y(), p.z() * 30), 9, 3, w * 9);
      return Vector3f(mix(rgb(232, 220, 190), rgb(176, 158, 124), 0.5f * line) *
                      (1 + 0.3f * stain));
    }
    const float cloth = fractal_noise(Vector3f(p.x() * 1.6f, p.y(), p.z()), 90, 2, w * 1.6f);
    Vector3f c = cover * (1 + 0.5f * cloth);
    static const Vector3f gold = rgb(232, 196, 110);
    const float n = static_cast<float>(title.size());
    if (spine || p.z() < 0) {
      // The title runs along the spine.
      const float size = 1.3f * half.z(), x = (-p.y() / size) + n / 2,
                  y = (p.z() / size) * 0.8f + 0.5f;
      const int k = static_cast<int>(std::floor(x));
      if (spine && k >= 0 && k < static_cast<int>(title.size())) {
        c = mix(c, gold,
                glyph(title[static_cast<size_t>(k)], x - static_cast<float>(k), y, w / size));
      }
      return c;
    }
    const float dx = half.x() - std::abs(p.x()), dy = half.y() - std::abs(p.y()),
                d = std::min(dx, dy);
    const float frame = step(0.03f, d, w) * (1 - step(0.037f, d, w));
    const float size = 1.5f * half.y() / n;
    const float x = (p.y() + n / 2 * size) / size, y = -p.x() / (size * 1.3f) + 1.4f;
    const int k = static_cast<int>(std::floor(x));
    float ink = frame;
    if (k >= 0 && k < static_cast<int>(title.size())) {
      ink = std::max(ink,
                     glyph(title[static_cast<size_t>(k)], x - static_cast<float>(k), y, w / size));
    }
    // A bell curve under the title.
    const float bell =
        -0.02f - 0.16f * std::exp(-0.5f * std::pow(p.y() / (0.32f * half.y()), 2.f)) + 0.16f;
    ink = std::max(ink, (1 - step(0.006f, std::abs(p.x() - bell), w)) * (dy > 0.05f ? 1.f : 0.f));
    return Vector3f(mix(c, gold, ink));
  };
}

Texture contour_texture(float height) {
  return [=](const TexturePoint& t) {
    const float h = t.position.z() / height;
    Vector3f c = ramp(h);
    const float line = filtered_pulse(h * 14 + 0.06f, 0.12f, t.width * 14 / height);
    c = mix(c, rgb(250, 246, 236), 0.8f * line);
    const float gx = filtered_pulse(t.position.x() * 14 + 0.04f, 0.08f, t.width * 14);
    const float gy = filtered_pulse(t.position.y() * 14 + 0.04f, 0.08f, t.width * 14);
    return Vector3f(mix(c, rgb(30, 26, 44), 0.55f * std::max(gx, gy)));
  };
}

Texture leaf_texture() {
  return [](const TexturePoint& t) {
    const Vector3f& p = t.position;
    const float rib = 1 - step(0.05f, std::abs(p.y()), t.width);
    const float side = filtered_pulse(p.x() * 7 - std::abs(p.y()) * 5, 0.16f, t.width * 7);
    const float blotch = fractal_noise(p, 3, 3, t.width);
    const Vector3f c = mix(rgb(46, 98, 48), rgb(122, 158, 64), std::clamp(0.5f + blotch, 0.f, 1.f));
    return Vector3f(mix(c, rgb(176, 196, 116), std::max(rib, 0.5f * side)));
  };
}

Texture brushed_texture(const Vector3f& base) {
  return [=](const TexturePoint& t) {
    const float ring = fractal_noise(Vector3f(0.3f, 0.7f, t.position.z() * 3), 30, 4, t.width * 3);
    return Vector3f(base * (1 + 0.35f * ring));
  };
}

Texture facet_texture(float radius) {
  return [=](const TexturePoint& t) {
    // Flat faces share uv: a colour a face by its direction, with a fine engraved triangle in each.
    const Vector3f n = t.position / radius;
    const float tone = 0.5f + 0.5f * gradient_noise(n * 1.7f + Vector3f::Constant(4.2f));
    const float u = t.uv.x(), v = t.uv.y();
    const float a = v, b = 2 * (u - v / 2),
                c = 2 * (1 - u - v / 2);  // 0 on an edge of the triangle
    const float edge = std::min({a, b / 2, c / 2}) * 3, w = t.width / radius * 3;
    const float line = step(0.3f, edge, w) * (1 - step(0.42f, edge, w)) + 1 - step(0.06f, edge, w);
    const Vector3f face = mix(rgb(36, 128, 132), rgb(118, 206, 186), tone);
    return Vector3f(mix(face, rgb(14, 48, 60), 0.8f * line));
  };
}

Vector3f studio_light(const Vector3f& direction, float blur) {
  const Vector3f d = direction.normalized();
  const Vector3f c = wall_color(d.z()) * (d.z() < 0 ? 0.55f : 1.f);
  // A large soft lamp overhead and a window to one side.
  const float soft = 0.08f + 0.5f * blur;
  const float lamp = smooth((d.z() - 0.86f + soft / 2) / soft) / (1 + 2 * blur);
  static const Vector3f kWindow = Vector3f(-0.75f, 0.45f, 0.48f).normalized();
  const float window = smooth((d.dot(kWindow) - 0.93f + soft / 3) / soft) / (1 + 2 * blur);
  return c * 0.85f + lamp * Vector3f(2.4f, 2.2f, 1.95f) + window * Vector3f(1.1f, 1.35f, 1.7f);
}

Vector3f studio_wall(const Vector3f& direction, float width) {
  const Vector3f d = direction.normalized();
  Vector3f c = wall_color(d.z()) * 0.85f;
  c *= 1 + 0.22f * fractal_noise(d, 3, 3, width);
  // Out-of-focus lamps: soft discs scattered on a band of the wall.
  const float a = std::atan2(d.y(), d.x()) / (2 * kPi) * 26, h = d.z() * 9;
  const int ia = static_cast<int>(std::floor(a)), ih = static_cast<int>(std::floor(h));
  for (int i = ia - 1; i <= ia + 1; ++i) {
    for (int j = ih - 1; j <= ih + 1; ++j) {
      const int wrapped = ((i % 26) + 26) % 26;
      if (j < 0 || j > 5 || hash01(wrapped, j, 1) > 0.5f) continue;
      const float ca = static_cast<float>(i) + 0.2f + 0.6f * hash01(wrapped, j, 2);
      const float ch = static_cast<float>(j) + 0.2f + 0.6f * hash01(wrapped, j, 3);
      const float size = 0.25f + 0.45f * hash01(wrapped, j, 4);
      const float r = std::hypot((a - ca) * 2.1f, h - ch) / size;
      const float disc = 1 - smooth((r - 0.8f) / 0.4f);
      const float tone = hash01(wrapped, j, 5);
      const Vector3f glow =
          mix(Vector3f(0.75f, 0.42f, 0.2f), Vector3f(0.3f, 0.42f, 0.6f), tone > 0.6f ? 1.f : 0.f);
      c += 0.5f * disc * (0.75f + 0.25f * smooth((r - 0.5f) / 0.4f)) * glow *
           (0.35f + 0.65f * hash01(wrapped, j, 6));
    }
  }
  return c;
}

}  // namespace covary::render
