#include "covary/stat/mixture/kde_options.h"

#include <cmath>
#include <cstdlib>

#include "covary/core/base/error.h"

namespace covary::mixture {

void KernelDensityOptions::describe(OptionList& o) {
  o.add("kernel", &kernel, "shape of the kernel")
      .choices({"gaussian", "epanechnikov", "tophat", "exponential", "linear", "cosine",
                "laplacian", "vmf"})
      .common();
  o.add("product", &product, "products over columns of the kernel of one column, for radial ones");
  o.add("bandwidth", &bandwidth, "rule, or a width in the data's unit")
      .suggestions({"scott", "silverman", "isj", "lcv", "lscv"})
      .common();
  o.add("bandwidth_kind", &bandwidth_kind, "one width a column, or factors from point to point")
      .choices({"fixed", "adaptive", "knn"})
      .common();
  o.add("neighbours", &neighbours, "which neighbour's distance knn takes; 0 = square root of rows")
      .range(0, 1e9);
  o.add("bandwidth_shape", &bandwidth_shape, "kernels along the columns, or leaning as the data do")
      .choices({"diagonal", "full"});
  o.add("bounds", &bounds, "where columns end, a=0:,b=0:1: densities are folded back there")
      .common();
  o.add("rtol", &rtol, "relative error allowed of each density").range(0, 1).common();
  o.add("atol", &atol, "absolute error allowed of each density").range(0, 1e300);
  o.add("engine", &engine, "how sums are taken")
      .choices({"auto", "exact", "tree", "moments", "fft", "ifgt", "rff", "nystrom"});
  o.add("tree", &tree, "how points are split in the tree engine").choices({"kd", "ball", "cover"});
  o.add("features", &features, "random frequencies of engine rff").range(2, 1e7);
  o.add("landmarks", &landmarks, "rows that engine nystrom projects on").range(1, 5000);
  o.add("engine_seed", &engine_seed, "draws frequencies and landmarks").range(0, 9e15);
}

void KernelDensityOptions::check() const {
  const auto refuse = [](const std::string& what, const char* field,
                         const char* hint = "leave it out") {
    throw Error(ExitCode::kUsage, what, field, hint);
  };
  if (kernel != "gaussian" && kernel != "epanechnikov" && kernel != "tophat" &&
      kernel != "exponential" && kernel != "linear" && kernel != "cosine" &&
      kernel != "laplacian" && kernel != "vmf") {
    refuse("is gaussian, epanechnikov, tophat, exponential, linear, cosine, laplacian or vmf",
           "kernel");
  }
  if (bandwidth != "scott" && bandwidth != "silverman" && bandwidth != "isj" &&
      bandwidth != "lcv" && bandwidth != "lscv") {
    char* end = nullptr;
    const double h = std::strtod(bandwidth.c_str(), &end);
    if (bandwidth.empty() || *end != 0 || !(h > 0) || !std::isfinite(h)) {
      refuse("is scott, silverman, isj, lcv, lscv or a number above 0, not '" + bandwidth + "'",
             "bandwidth", "write --bandwidth silverman, or a width such as 0.3");
    }
  }
  if (!(rtol >= 0 && rtol <= 1)) refuse("must be in [0, 1]", "rtol");
  if (!(atol >= 0)) refuse("must not be negative", "atol");
  if (engine != "auto" && engine != "exact" && engine != "tree" && engine != "moments" &&
      engine != "fft" && engine != "ifgt" && engine != "rff" && engine != "nystrom") {
    refuse("is auto, exact, tree, moments, fft, ifgt, rff or nystrom", "engine");
  }
  if (tree != "kd" && tree != "ball" && tree != "cover") refuse("is kd, ball or cover", "tree");
  if (features < 2 || features > 10'000'000) refuse("must be in [2, 1e7]", "features");
  if (landmarks < 1 || landmarks > 5000) refuse("must be in [1, 5000]", "landmarks");
  if (engine_seed < 0 || engine_seed > 9'000'000'000'000'000)
    refuse("must be in [0, 9e15]", "engine_seed");
  if (bandwidth_kind != "fixed" && bandwidth_kind != "adaptive" && bandwidth_kind != "knn")
    refuse("is fixed, adaptive or knn", "bandwidth_kind");
  if (bandwidth_shape != "diagonal" && bandwidth_shape != "full")
    refuse("is diagonal or full", "bandwidth_shape");
  if (neighbours < 0) refuse("must not be negative", "neighbours");
  const bool estimate = engine == "rff" || engine == "nystrom";
  if ((engine == "moments" || engine == "fft" || engine == "ifgt" || estimate) &&
      bandwidth_kind != "fixed")
    refuse(engine + " serves one width a column", "engine", "use exact or tree");
  if (kernel == "vmf") {
    if (bandwidth_kind != "fixed") refuse("directions have one width", "bandwidth_kind");
    if (bandwidth_shape != "diagonal") refuse("directions have one width", "bandwidth_shape");
    if (!bounds.empty()) refuse("the sphere has no bounds", "bounds");
    if (bandwidth == "isj")
      refuse("is a rule for columns of their own", "bandwidth", "use silverman or lcv");
    if (product) refuse("directions have no columns of their own", "product");
    if (engine == "moments" || engine == "fft")
      refuse(engine + " serves no directions", "engine", "use exact or tree");
  }
  if (product && bandwidth_kind != "fixed" && kernel != "gaussian" && kernel != "laplacian" &&
      kernel != "exponential")
    refuse("products of bounded kernels have one width a column", "bandwidth_kind",
           "use fixed, or no --product");
  if (engine == "fft" || engine == "ifgt") {
    if (kernel != "gaussian" && !(kernel == "vmf" && engine == "ifgt"))
      refuse(engine + " serves the gaussian kernel", "engine", "use tree");
    if (!(atol > 0) || rtol > 0)
      refuse(engine + " bounds the absolute error alone", "engine",
             "give --atol, and no --rtol; or use tree");
  }
  if (estimate && !bounds.empty())
    refuse(engine + " knows no bounds of columns", "bounds", "use exact or tree");
  if (estimate && kernel != "gaussian" && kernel != "exponential" && kernel != "laplacian" &&
      kernel != "vmf")
    refuse(engine + " serves the gaussian, exponential and laplacian kernels", "engine",
           "use tree");
  if (bandwidth == "lscv" && kernel != "gaussian")
    refuse("least squares have a closed form for the gaussian kernel", "bandwidth",
           "use lcv, or the gaussian kernel");
  if (engine == "moments" && kernel != "gaussian") {
    refuse("moments are those of the gaussian kernel", "engine");
  }
}

}  // namespace covary::mixture
