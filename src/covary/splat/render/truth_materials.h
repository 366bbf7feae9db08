// Surfaces of the studio: procedural colours with detail at every scale, filtered to the width of a
// ray, so that few rays a pixel suffice and neighbouring views agree.
//
// Colours are linear RGB. Lengths are the object's. Everything here is a pure function.
#pragma once

#include <Eigen/Core>
#include <functional>
#include <string>

namespace covary::render {

// Where a material is asked for its colour.
struct TexturePoint {
  Eigen::Vector3f position;  // in the object's own axes
  Eigen::Vector2f uv;        // of the mesh
  float width = 0;           // of the ray's footprint, same unit as position
};

using Texture = std::function<Eigen::Vector3f(const TexturePoint&)>;

struct Material {
  Texture color;
  float gloss = 0;       // strength of highlights and reflections at normal incidence, [0, 1]
  float shininess = 40;  // exponent of the highlight: larger is smaller and brighter
  bool metal = false;    // reflections take the surface's colour, and little light is scattered
};

// Smooth random function of space, mean 0, range about [-1, 1]; features of size 1/frequency.
float gradient_noise(const Eigen::Vector3f& p);
// Sum of octaves, each twice as fine and half as strong; those finer than `width` fade out.
float fractal_noise(const Eigen::Vector3f& p, float frequency, int octaves, float width);

// A square wave of period 1 that is 1 for the first `duty` of each period, averaged over `width`.
float filtered_pulse(float x, float duty, float width);

// Coverage of a letter or digit at (u, v) in [0, 1]^2, v up; 0 outside. Unknown characters are
// blank.
float glyph(char letter, float u, float v, float width);

// sRGB 0..255 to linear.
Eigen::Vector3f rgb(int r, int g, int b);

Texture wood_texture(const Eigen::Vector3f& light, const Eigen::Vector3f& dark, float ring_spacing);
Texture marble_texture(const Eigen::Vector3f& base, const Eigen::Vector3f& vein, float size);
Texture speckled_texture(const Eigen::Vector3f& base, const Eigen::Vector3f& speck, float size);
// A ring-shaped board: planks in herringbone about the middle.
Texture parquet_texture(float plank_length);
Texture turntable_texture(float radius);
Texture rug_texture(float radius);
Texture checker_texture(const Eigen::Vector3f& a, const Eigen::Vector3f& b, float columns,
                        float rows, float world_per_u);
Texture letter_block_texture(char letter, const Eigen::Vector3f& paint, float half_size);
Texture vase_texture();
Texture knot_texture(float length);
Texture book_texture(const Eigen::Vector3f& cover, const std::string& title,
                     const Eigen::Vector3f& half);
Texture contour_texture(float height);
Texture leaf_texture();
Texture brushed_texture(const Eigen::Vector3f& base);
Texture facet_texture(float radius);

// Light that arrives at the studio from a direction (z up): walls and a soft ceiling lamp. `blur`
// in [0, 1] widens it, as a rough surface does.
Eigen::Vector3f studio_light(const Eigen::Vector3f& direction, float blur);
// The wall that a camera sees in a direction from the studio's middle: studio_light with a pattern.
Eigen::Vector3f studio_wall(const Eigen::Vector3f& direction, float width);

}  // namespace covary::render
