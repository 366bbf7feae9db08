// covary density fit TABLE, score MODEL|TABLE QUERIES, sample MODEL|TABLE
#include <algorithm>

#include <ATen/ATen.h>

#include "covary/cli/density_options.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/samples.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/file.h"
#include "covary/core/base/log.h"
#include "covary/core/data/model.h"
#include "covary/stat/mixture/kde.h"
#include "covary/stat/mixture/mixture_page.h"

namespace covary::cli {
namespace {

using mixture::KernelDensity;
using nlohmann::json;

struct Density {
  KernelDensity kde;
  std::vector<std::string> columns;
};

Density fit(const DensityOptions& o, const std::string& input) {
  const Samples s = read_samples(input, o.table);
  mixture::KernelDensityOptions kde = o.kde;
  kde.bounds = mixture::numbered_bounds(kde.bounds, s.names);
  Density d{KernelDensity(kde), s.names};
  in_file(input, [&] { d.kde.fit(s.x, s.weights); });
  for (const std::string& note : d.kde.notes()) log_warning(input + ": " + note);
  return d;
}

// A model file, or a table that is fitted first. What was typed about accuracy replaces the
// model's; its kernel and widths are what they are.
Density load(const DensityOptions& o, const Job& job) {
  const std::string& input = job.invocation.inputs[0];
  if (input == "-" || !data::is_model(input)) return fit(o, input);
  const data::Model file = data::read_model(input, "covary.density", 1);
  Density d{KernelDensity::of_model(file), file.texts("columns")};
  if (static_cast<int64_t>(d.columns.size()) != d.kde.columns())
    file.refuse("columns", "are not as many as the points have");
  refuse_fit_options(job,
                     {"kernel", "product", "bandwidth", "bandwidth_kind", "neighbours",
                      "bandwidth_shape", "bounds"},
                     "covary density fit TABLE");
  mixture::KernelDensityOptions accuracy = d.kde.options();
  bool typed = false;
  const auto take = [&]<class T>(const char* name, T mixture::KernelDensityOptions::* field) {
    if (!job.typed(name)) return;
    accuracy.*field = o.kde.*field;
    typed = true;
  };
  take("rtol", &mixture::KernelDensityOptions::rtol);
  take("atol", &mixture::KernelDensityOptions::atol);
  take("engine", &mixture::KernelDensityOptions::engine);
  take("tree", &mixture::KernelDensityOptions::tree);
  take("features", &mixture::KernelDensityOptions::features);
  take("landmarks", &mixture::KernelDensityOptions::landmarks);
  take("engine_seed", &mixture::KernelDensityOptions::engine_seed);
  if (typed) d.kde.set_accuracy(accuracy);
  return d;
}

void write_page(const Job& job, const Density& d) {
  if (job.common.plot.empty()) return;
  write_file(job.common.plot,
             mixture::density_page(title_of(job.invocation.inputs[0]), d.kde, d.columns));
  log_info("wrote " + job.common.plot);
}

json document_of(const Density& d) {
  const at::Tensor h = d.kde.widths();
  const mixture::KernelDensityOptions& o = d.kde.options();
  json out = {
      {"method", "kde"},
      {"kernel", o.kernel},
      {"product", o.product},
      {"bandwidth", o.bandwidth},
      {"bandwidth_kind", o.bandwidth_kind},
      {"bandwidth_shape", o.bandwidth_shape},
      {"engine", d.kde.engine()},
      {"approximate", d.kde.approximate()},
      {"points", d.kde.rows()},
      {"columns", d.columns},
      {"widths", std::vector<double>(h.data_ptr<double>(), h.data_ptr<double>() + h.numel())},
      {"notes", d.kde.notes()}};
  // Of an estimate no bound is known.
  if (!d.kde.approximate()) out["error_bound"] = d.kde.error_bound();
  if (d.kde.engine() == "tree") out["tree"] = o.tree;
  if (d.kde.engine() == "rff") out["features"] = o.features;
  if (d.kde.engine() == "nystrom") out["landmarks"] = o.landmarks;
  if (d.kde.approximate()) out["engine_seed"] = o.engine_seed;
  const mixture::WidthScan& scan = d.kde.width_scan();
  if (!scan.factors.empty()) {
    out["width_scan"] = {{"factors_of_scott", scan.factors}, {"likelihood", scan.likelihood}};
    if (!scan.least_squares.empty()) out["width_scan"]["least_squares"] = scan.least_squares;
  }
  return out;
}

}  // namespace

Result run_density_fit(const Job& job) {
  const auto o = job.options<DensityOptions>();
  const std::string output = model_name(job.invocation.outputs);
  const Density d = fit(o, job.invocation.inputs[0]);
  if (!output.empty()) {
    data::Model file = d.kde.model();
    file.fields["columns"] = d.columns;
    data::write_model(output, file);
  }
  write_page(job, d);
  Result r;
  r.document = document_of(d);
  if (!output.empty()) r.document["model"] = output;
  r.text = count_text(d.kde.rows()) + " points, " + d.kde.options().kernel +
           (d.kde.options().product ? " product" : "") + " kernel, widths by " +
           d.kde.options().bandwidth +
           (d.kde.approximate() ? ", an estimate by " : ", summed by ") + d.kde.engine() + "\n";
  for (size_t j = 0; j < d.columns.size(); ++j)
    r.text += "  " + d.columns[j] + "  " + number_text("%.6g", r.document["widths"][j]) + "\n";
  return r;
}

Result run_density_score(const Job& job) {
  const auto o = job.options<DensityOptions>();
  const std::string output = one_output(job.invocation.outputs);
  const Density d = load(o, job);
  const std::string& input = job.invocation.inputs[1];
  const Samples s = read_samples(
      input, {.columns = o.table.columns, .target = o.table.target, .weights = {}}, d.columns);
  const bool estimate = d.kde.approximate();
  const auto [log_density, errors] = in_file(input, [&] {
    return estimate ? d.kde.estimate(s.x)
                    : KernelDensity::Estimate{d.kde.score_samples(s.x), at::Tensor()};
  });
  std::string csv;
  if (!output.empty())
    csv = write_table(output,
                      estimate ? table_of({"log_density", "standard_error"}, {log_density, errors})
                               : table_of({"log_density"}, {log_density}));
  write_page(job, d);
  const double mean = log_density.mean().item<double>();
  Result r;
  r.document = document_of(d);
  r.document["rows"] = s.x.size(0);
  r.document["mean_log_density"] = mean;
  r.text = "mean log-density of " + count_text(s.x.size(0)) +
           " rows: " + number_text("%.6f", mean) + " nats, by " + d.kde.engine() + "\n";
  if (estimate && s.x.size(0) > 0) {
    // Estimates that were not above their error stand at it.
    const at::Tensor relative = errors / log_density.exp();
    const int64_t lost = (relative >= 1 - 1e-9).sum().item<int64_t>();
    const double middle = relative.median().item<double>();
    r.document["median_relative_error"] = middle;
    r.document["rows_not_told_from_0"] = lost;
    r.text += "an estimate without a bound: the median row's standard error is " +
              number_text("%.3g", 100 * middle) + "% of its density; " + count_text(lost) +
              " rows are not told from 0\n";
  }
  if (output == "-") r.text = csv;
  return r;
}

Result run_density_sample(const Job& job) {
  const auto o = job.options<DensitySampleOptions>();
  const std::string output = one_output(job.invocation.outputs);
  const Density d = load(o, job);
  Result r;
  r.document = document_of(d);
  r.document["rows"] = o.samples;
  r.text = write_table(output, table_of(d.columns, {d.kde.sample(o.samples, job.common.seed)}));
  return r;
}

}  // namespace covary::cli
