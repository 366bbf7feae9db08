#include "covary/cli/mixture_options.h"

#include <cmath>

#include "covary/core/base/error.h"

namespace covary::cli {
namespace {

void describe_plot_columns(OptionList& o, std::vector<std::string>* columns) {
  o.add("plot_columns", columns, "two columns that --plot shows, instead of principal axes");
}

}  // namespace

void MixtureFitOptions::describe(OptionList& o) {
  o.add("family", &family, "of the components: Gaussians, or von Mises-Fisher: rows are directions")
      .choices({"gaussian", "vmf"})
      .common();
  o.add("method", &method,
        "em; variational Bayes, which finds the number of components; both online, for tables that "
        "memory does not hold; k-means")
      .choices({"em", "vb", "online", "online-vb", "kmeans"})
      .common();
  std::vector<std::string> shapes(mixture::kCovariances);
  shapes.push_back("mclust");
  o.add("covariance", &covariance, "shapes to try; mclust: its fourteen names, EII to VVV")
      .choices(shapes)
      .common();
  o.add("components", &components,
        "numbers of components to try (-k): 3, 2,4 or 1:8; for vb the most")
      .range(1, 1e6)
      .synonym("k")
      .common();
  o.add("criterion", &criterion, "what chooses among several fits")
      .choices({"bic", "aic", "icl"})
      .common();
  o.add("starts", &starts, "starts; the best goes on; 0 = the method's own number")
      .range(0, 10000)
      .synonym("n_init")
      .common();
  o.add("steps", &steps, "steps at most; 0 = the method's own number")
      .range(0, 1e9)
      .synonym("max_iter");
  o.add("tolerance", &tolerance, "gain of a step below which it ends").range(0, 1e9).synonym("tol");
  o.add("init", &init,
        "where em, online and kmeans begin; from --init-from: labels, responsibilities, means, "
        "model")
      .choices({"k-means", "k-means++", "k-means||", "random", "labels", "responsibilities",
                "means", "model"})
      .synonym("init_params");
  o.add("init_from", &init_from, "table or model that --init names; labels: --target unless given");
  o.add("batch", &batch,
        "rows a step; 0 = 65536 by online and online-vb, all rows by kmeans, else mini-batches")
      .range(0, 1e9)
      .synonym("batch_size");
  o.add("passes", &passes, "of online and online-vb over the table").range(1, 1e6);
  o.add("least_share", &least_share, "by vb, components with less weight are not kept")
      .range(0, 0.5);
  describe_plot_columns(o, &plot_columns);
  table.describe(o);
  o.group("em", em).only_when("method", "em|online");
  o.group("vb", vb).only_when("method", "vb|online-vb");
  o.group("kmeans", kmeans).only_when("method", "kmeans");
  o.group("vmf", vmf).only_when("family", "vmf");
}

std::vector<std::string> MixtureFitOptions::shapes() const {
  std::vector<std::string> out;
  for (const std::string& name : covariance) {
    if (name == "mclust") {
      out.insert(out.end(), mixture::kMclustCovariances.begin(), mixture::kMclustCovariances.end());
    } else {
      out.push_back(name);
    }
  }
  return out;
}

std::vector<int64_t> MixtureFitOptions::numbers() const {
  if (components.empty())
    return variational() ? std::vector<int64_t>{20} : std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<int64_t> out;
  for (const double k : components) out.push_back(static_cast<int64_t>(k));
  return out;
}

bool MixtureFitOptions::from_file() const {
  return init == "labels" || init == "responsibilities" || init == "means" || init == "model";
}

void MixtureFitOptions::check() const {
  const auto refuse = [](const std::string& what, const char* flag, const std::string& hint) {
    throw Error(ExitCode::kUsage, what, flag, hint);
  };
  for (const double k : components)
    if (k != std::floor(k)) refuse("expects whole numbers", "--components", "write -k 1:8");
  if (covariance.empty()) refuse("names no shape", "--covariance", "write --covariance full");
  if (method != "em" && !variational() && numbers().size() > 1)
    refuse("--method " + method + " fits one number of components", "--components",
           "write -k 8, or leave --method out to choose by " + criterion);
  if (variational() && numbers().size() > 1)
    refuse("--method " + method + " takes the most components there can be", "--components",
           "write -k 20");
  if (variational() && (shapes().size() > 1 || covariance[0] != "full"))
    refuse("--method " + method + " has full covariances", "--covariance", "leave it out");
  if (variational() && init != "k-means")
    refuse("--method " + method + " begins from k-means", "--init", "leave it out");
  if (from_file()) {
    if (method != "em" || shapes().size() > 1)
      refuse("only one fit by em begins from " + init, "--init",
             "leave --method out, and name one --covariance");
    if (!components.empty())
      refuse("the number of components is that of the " + init, "--components", "leave it out");
    if (init_from.empty() && (init != "labels" || table.target.empty()))
      refuse("--init " + init + " needs a file", "--init-from", "write --init-from FILE");
  } else if (!init_from.empty()) {
    refuse("--init " + init + " reads no file", "--init-from",
           "write --init labels, responsibilities, means or model");
  }
  if (method == "kmeans" && (shapes().size() > 1 || covariance[0] != "full"))
    refuse("--method kmeans has one variance", "--covariance", "leave it out");
  if (method == "online" && shapes().size() > 1)
    refuse("--method online fits one shape", "--covariance", "write --covariance full");
  if (!plot_columns.empty() && plot_columns.size() != 2)
    refuse("expects two columns", "--plot-columns", "write --plot-columns length,width");
  if (family == "vmf") {
    if (method != "em" && method != "kmeans")
      refuse("directions are fitted by em or kmeans", "--method", "leave it out");
    if (init != "k-means")
      refuse("directions begin from their own seeds", "--init", "leave it out");
    if (shapes().size() > 1 || covariance[0] != "full")
      refuse("directions have no covariance", "--covariance", "leave it out");
    if (!plot_columns.empty())
      refuse("directions are shown as they are", "--plot-columns", "leave it out");
  }
  em.check();
  vb.check();
  kmeans.check();
  vmf.check();
}

void MixturePredictOptions::describe(OptionList& o) {
  o.add("responsibilities", &responsibilities, "also each component's share of each row").common();
  MixtureFitOptions::describe(o);
}

void MixtureSampleOptions::describe(OptionList& o) {
  o.add("samples", &samples, "rows to draw").range(0, 1e10).synonym("n").common();
  o.add("labels", &labels, "also the component that each row is of").common();
  MixtureFitOptions::describe(o);
}

void MixtureInspectOptions::describe(OptionList& o) { describe_plot_columns(o, &plot_columns); }

}  // namespace covary::cli
