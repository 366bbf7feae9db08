// The programs of the graphics card. The splat program does what the program's own rasteriser does (core/compute/project,
// rasterize, sh), so that the page shows what `covary render` draws: EWA projection with the same bounds, the same dilation,
// the same end of a footprint at 1/255, opacity at most 0.99.

export const SPLAT_VERTEX = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
precision highp sampler2D;
layout(location = 0) in uint a_index;
uniform usampler2D u_words;     // two texels a row: mean and row; quaternion, log scales, opacity
uniform sampler2D u_sh;         // K texels a row
uniform sampler2D u_column;     // one texel a row
uniform int u_per_line;         // rows in a line of the textures
uniform int u_coefficients;     // K
uniform int u_degree;           // bands that are shown
uniform mat3 u_rotation;        // cam_from_world
uniform vec3 u_position;        // of the camera, world
uniform vec4 u_lens;            // fx fy cx cy, px
uniform vec2 u_size;            // px
uniform vec4 u_limits;          // of x/z and y/z in the Jacobian: low x, high x, low y, high y
uniform float u_scale;          // of the standard deviations
uniform bool u_antialiased;
uniform bool u_points;
uniform float u_point_radius;   // px
uniform int u_mode;             // 0 colours, 1 depth, 2 normals, 3 a column
uniform vec2 u_range;           // of depth or column
uniform sampler2D u_ramp;       // 256 colours
uniform vec3 u_crop_low, u_crop_high;
uniform uint u_selected;
out vec2 v_offset;              // in standard deviations
out vec4 v_color;               // opacity in w

const float kDilation = 0.3, kNear = 0.01, kLogLow = -20.0, kLogHigh = 12.0;

vec3 sh(ivec2 at, int k) { return texelFetch(u_sh, at + ivec2(k, 0), 0).rgb; }

vec3 color_of(int index, vec3 d) {
  ivec2 at = ivec2((index % u_per_line) * u_coefficients, index / u_per_line);
  vec3 c = 0.5 + 0.28209479177387814 * sh(at, 0);
  if (u_degree < 1) return max(c, 0.0);
  float x = d.x, y = d.y, z = d.z;
  c += 0.4886025119029199 * (-y * sh(at, 1) + z * sh(at, 2) - x * sh(at, 3));
  if (u_degree < 2) return max(c, 0.0);
  float xx = x * x, yy = y * y, zz = z * z, xy = x * y, yz = y * z, xz = x * z;
  c += 1.0925484305920792 * xy * sh(at, 4) - 1.0925484305920792 * yz * sh(at, 5) +
       0.31539156525252005 * (2.0 * zz - xx - yy) * sh(at, 6) - 1.0925484305920792 * xz * sh(at, 7) +
       0.5462742152960396 * (xx - yy) * sh(at, 8);
  if (u_degree < 3) return max(c, 0.0);
  c += -0.5900435899266435 * y * (3.0 * xx - yy) * sh(at, 9) + 2.890611442640554 * xy * z * sh(at, 10) -
       0.4570457994644658 * y * (4.0 * zz - xx - yy) * sh(at, 11) +
       0.3731763325901154 * z * (2.0 * zz - 3.0 * xx - 3.0 * yy) * sh(at, 12) -
       0.4570457994644658 * x * (4.0 * zz - xx - yy) * sh(at, 13) + 1.445305721320277 * z * (xx - yy) * sh(at, 14) -
       0.5900435899266435 * x * (xx - 3.0 * yy) * sh(at, 15);
  return max(c, 0.0);
}

vec3 ramp(float t) { return texelFetch(u_ramp, ivec2(int(clamp(t, 0.0, 1.0) * 255.0 + 0.5), 0), 0).rgb; }

void main() {
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0);  // outside, until it is known to be seen
  v_offset = vec2(0.0);
  v_color = vec4(0.0);
  int index = int(a_index);
  ivec2 at = ivec2(2 * (index % u_per_line), index / u_per_line);
  uvec4 a = texelFetch(u_words, at, 0), b = texelFetch(u_words, at + ivec2(1, 0), 0);
  vec3 mean = uintBitsToFloat(a.xyz);
  if (any(lessThan(mean, u_crop_low)) || any(greaterThan(mean, u_crop_high))) return;
  vec3 direction = mean - u_position;
  vec3 p = u_rotation * direction;
  if (!(p.z >= kNear)) return;
  vec2 ratio = p.xy / p.z;
  vec2 centre = u_lens.xy * ratio + u_lens.zw;

  vec2 q0 = unpackSnorm2x16(b.x), q1 = unpackSnorm2x16(b.y);
  vec4 q = normalize(vec4(q0, q1));  // w x y z
  mat3 turn = mat3(1.0 - 2.0 * (q.z * q.z + q.w * q.w), 2.0 * (q.y * q.z + q.x * q.w), 2.0 * (q.y * q.w - q.x * q.z),
                   2.0 * (q.y * q.z - q.x * q.w), 1.0 - 2.0 * (q.y * q.y + q.w * q.w), 2.0 * (q.z * q.w + q.x * q.y),
                   2.0 * (q.y * q.w + q.x * q.z), 2.0 * (q.z * q.w - q.x * q.y), 1.0 - 2.0 * (q.y * q.y + q.z * q.z));
  vec2 s01 = unpackUnorm2x16(b.z), s2o = unpackUnorm2x16(b.w);
  vec3 sigma = u_scale * exp(kLogLow + (kLogHigh - kLogLow) * vec3(s01, s2o.x));
  float opacity = s2o.y;

  // Half-axes of the footprint's ellipse {d^T conic d = 1} as eigenvectors of the screen covariance.
  vec2 axis0, axis1;
  float reach;
  if (u_points) {
    axis0 = vec2(u_point_radius, 0.0);
    axis1 = vec2(0.0, u_point_radius);
    reach = 1.0;
  } else {
    mat3 m = u_rotation * turn;  // columns: the axes in camera coordinates
    vec2 t = clamp(ratio, u_limits.xz, u_limits.yw);
    float iz = 1.0 / p.z;
    vec3 jx = u_lens.x * iz * vec3(1.0, 0.0, -t.x), jy = u_lens.y * iz * vec3(0.0, 1.0, -t.y);
    vec3 mx = (jx * m) * sigma, my = (jy * m) * sigma;
    float xx = dot(mx, mx), xy = dot(mx, my), yy = dot(my, my);
    float before = xx * yy - xy * xy;
    xx += kDilation;
    yy += kDilation;
    float det = xx * yy - xy * xy;
    if (!(det > 0.0)) return;
    if (u_antialiased) opacity *= sqrt(max(0.000025, before / det));
    float q_end = 2.0 * log(255.0 * opacity);
    if (!(q_end > 0.0)) return;
    reach = sqrt(q_end);
    float middle = 0.5 * (xx + yy), half_gap = length(vec2(0.5 * (xx - yy), xy));
    float large = middle + half_gap, small = max(det / large, 1e-12);
    // The long axis without cancellation, from whichever side it is nearer to.
    vec2 e = xx >= yy ? vec2(half_gap + 0.5 * (xx - yy), xy) : vec2(xy, half_gap + 0.5 * (yy - xx));
    float e_length = length(e);
    e = e_length > 1e-20 ? e / e_length : vec2(1.0, 0.0);
    axis0 = sqrt(large) * e;
    axis1 = sqrt(small) * vec2(-e.y, e.x);
    if (!(reach * sqrt(large) < 1e9)) return;
  }

  vec2 corner = vec2(float(gl_VertexID & 1) * 2.0 - 1.0, float(gl_VertexID >> 1) * 2.0 - 1.0) * reach;
  vec2 px = centre + corner.x * axis0 + corner.y * axis1;
  v_offset = corner;

  vec3 color;
  if (u_mode == 1) {
    float near = max(u_range.x, 1e-6);  // even in 1 / depth: near things differ most
    color = ramp((1.0 / near - 1.0 / p.z) / (1.0 / near - 1.0 / u_range.y));
  } else if (u_mode == 2) {
    int shortest = sigma.x <= sigma.y ? (sigma.x <= sigma.z ? 0 : 2) : (sigma.y <= sigma.z ? 1 : 2);
    vec3 n = u_rotation * turn[shortest];
    if (dot(n, p) > 0.0) n = -n;
    color = 0.5 + 0.5 * n * vec3(1.0, -1.0, -1.0);
  } else if (u_mode == 3) {
    float value = texelFetch(u_column, ivec2(index % u_per_line, index / u_per_line), 0).r;
    color = ramp((value - u_range.x) / (u_range.y - u_range.x));
  } else {
    color = color_of(index, normalize(direction));
  }
  if (a_index == u_selected) color = vec3(1.0, 0.2, 0.8);
  v_color = vec4(color, opacity);
  gl_Position = vec4(2.0 * px.x / u_size.x - 1.0, 1.0 - 2.0 * px.y / u_size.y, 0.0, 1.0);
}
`;

export const SPLAT_FRAGMENT = `#version 300 es
precision highp float;
in vec2 v_offset;
in vec4 v_color;
uniform bool u_points;
out vec4 o_color;
void main() {
  float q = dot(v_offset, v_offset);
  if (u_points) {
    if (q > 1.0) discard;
    o_color = vec4(v_color.rgb, 1.0);
    return;
  }
  float alpha = min(0.99, v_color.a * exp(-0.5 * q));
  if (alpha < 1.0 / 255.0) discard;
  o_color = vec4(alpha * v_color.rgb, alpha);
}
`;

export const LINE_VERTEX = `#version 300 es
precision highp float;
layout(location = 0) in vec3 a_position;
layout(location = 1) in vec4 a_color;
uniform mat3 u_rotation;
uniform vec3 u_position;
uniform vec4 u_lens;
uniform vec2 u_size;
out vec4 v_color;
void main() {
  vec3 p = u_rotation * (a_position - u_position);
  vec2 px = u_lens.xy * p.xy + u_lens.zw * p.z;  // times z, as homogeneous coordinates are
  gl_Position = vec4(2.0 * px.x / u_size.x - p.z, p.z - 2.0 * px.y / u_size.y, 0.0, p.z);
  v_color = a_color;
}
`;

export const LINE_FRAGMENT = `#version 300 es
precision highp float;
in vec4 v_color;
out vec4 o_color;
void main() { o_color = vec4(v_color.rgb * v_color.a, v_color.a); }
`;

export const COVER_VERTEX = `#version 300 es
void main() { gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0); }
`;

// What was blended, over the background; beside or against a photo.
export const RESOLVE_FRAGMENT = `#version 300 es
precision highp float;
precision highp sampler2D;
uniform sampler2D u_blended;   // premultiplied
uniform vec3 u_background;
uniform sampler2D u_photo;
uniform vec4 u_photo_box;      // left, top, width, height, px of the target from its top
uniform bool u_normals;        // the sum of w (n + 1) / 2 is shown as the direction of the sum of w n
uniform int u_compare;         // 0 no photo, 1 photo left of u_wipe, 2 the photo, 3 the difference
uniform float u_wipe;          // px
uniform float u_gain;          // of the difference
uniform vec2 u_size;
out vec4 o_color;
void main() {
  vec4 c = texelFetch(u_blended, ivec2(gl_FragCoord.xy), 0);
  vec3 shown = clamp(c.rgb + (1.0 - c.a) * u_background, 0.0, 1.0);
  if (u_normals) {
    vec3 n = 2.0 * c.rgb - c.a;
    float size = length(n);
    shown = 0.5 + (c.a >= 0.5 && size > 1e-6 ? 0.5 / size : 0.0) * n;
  }
  if (u_compare != 0) {
    vec2 px = vec2(gl_FragCoord.x, u_size.y - gl_FragCoord.y);
    vec2 at = (px - u_photo_box.xy) / u_photo_box.zw;
    bool inside = all(greaterThanEqual(at, vec2(0.0))) && all(lessThan(at, vec2(1.0)));
    if (inside) {
      vec3 photo = texture(u_photo, at).rgb;
      if (u_compare == 3) shown = u_gain * abs(shown - photo);
      else if (u_compare == 2 || px.x < u_wipe) shown = photo;
      if (u_compare == 1 && abs(px.x - u_wipe) < 1.0) shown = vec3(1.0);
    } else {
      shown *= 0.35;  // beyond the photo
    }
  }
  o_color = vec4(shown, 1.0);
}
`;
