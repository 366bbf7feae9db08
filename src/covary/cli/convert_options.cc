#include "covary/cli/convert_options.h"

namespace covary::cli {

void ConvertOptions::describe(OptionList& o) {
  o.add("sh_degree", &sh_degree, "highest degree of spherical harmonics that is written; -1 = all")
      .range(-1, 4)
      .common();
  o.add(
       "axes", &axes,
       "where x, y and z of the output point; auto = as its format has them (.spz: rub, glTF: luf, "
       "others: rdf)")
      .suggestions({"auto", "as-is", "rdf", "rub", "luf"})
      .common();
  o.add("input_axes", &input_axes, "where x, y and z of the inputs point; as-is = do not turn them")
      .suggestions({"auto", "as-is", "rdf", "rub", "luf"})
      .synonym("spz_frame")
      .common();
  o.add("format", &format,
        "of the output, where its extension does not say it: ply, compressed-ply, spz, sog, html "
        "...")
      .common();
  o.add("not_finite", &not_finite, "what becomes of splats that hold NaN or infinity")
      .choices({"refuse", "drop"})
      .common();
  o.add("level", &level, "of an input with levels of detail (lod-meta.json); 0 = the finest")
      .range(0, 63);
  o.add("keep_order", &keep_order,
        "splats stay in their order; files of formats that sort them grow");
  o.add("against", &against, "a scene that --report compares the outputs with; empty = the inputs");
  o.add("views", &views, "around the scene that --report compares; 0 = sizes alone").range(0, 1000);
  o.add("spz_version", &spz_version, "2, 3 (gzip) or 4 (Zstandard, which fewer programs read)")
      .range(2, 4)
      .common();
  o.add("spz_sh_bits", &spz_sh_bits, "bits of an SH coefficient; 0 = 5 of degree 1, 4 above")
      .unit("bits")
      .range(0, 8);
  o.add("gltf_spz", &gltf_spz,
        "splats of a .glb or .gltf as a .spz within, about ten times smaller");
  o.add("ksplat_level", &ksplat_level, "0 floats, 1 halves, 2 SH in bytes").range(0, 2).common();
  o.add("sog_sweeps", &sog_sweeps, "of k-means over the palette of spherical harmonics")
      .range(1, 100);
  o.add("webp_effort", &webp_effort, "time for size, of the pictures in SOG").range(0, 9);
}

void ConvertOptions::check() const {}

}  // namespace covary::cli
