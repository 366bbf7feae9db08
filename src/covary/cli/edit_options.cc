#include "covary/cli/edit_options.h"

#include "covary/splat/scene/edit_options.h"

namespace covary::cli {

void EditOptions::describe(OptionList& o) {
  scene::describe_edit_steps(o, &operations);
  o.add(
       "capture", &capture,
       "whose cameras tell what is seen; those of a run are known; without any the scene is looked "
       "at from around")
      .synonym("source_path")
      .common();
  o.add("views", &views, "that tell what is seen, at most").range(1, 1000).common();
  o.add("axes", &axes, "where x, y and z of the output point; auto = as its format has them")
      .suggestions({"auto", "as-is", "rdf", "rub", "luf"});
  o.add("input_axes", &input_axes, "where x, y and z of the inputs point; as-is = do not turn them")
      .suggestions({"auto", "as-is", "rdf", "rub", "luf"})
      .synonym("spz_frame");
  o.add("format", &format, "of the output, where its extension does not say it");
  o.add("not_finite", &not_finite, "what becomes of splats that hold NaN or infinity, on reading")
      .choices({"refuse", "drop"});
  o.add("level", &level, "of an input with levels of detail (lod-meta.json); 0 = the finest")
      .range(0, 63);
  o.add("keep_order", &keep_order,
        "splats stay in their order; files of formats that sort them grow");
}

void EditOptions::check() const {
  for (const std::string& operation : operations) (void)scene::parse_edit_step(operation);
}

}  // namespace covary::cli
