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
  refuse_fit_options(
      job, {"kernel", "bandwidth", "bandwidth_kind", "neighbours", "bandwidth_shape", "bounds"},
      "covary density fit TABLE");
  const mixture::KernelDensityOptions& own = d.kde.options();
  if (job.typed("rtol") || job.typed("atol") || job.typed("engine"))
    d.kde.set_accuracy(job.typed("rtol") ? o.kde.rtol : own.rtol,
                       job.typed("atol") ? o.kde.atol : own.atol,
                       job.typed("engine") ? o.kde.engine : own.engine);
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
  return {{"method", "kde"},
          {"kernel", d.kde.options().kernel},
          {"bandwidth", d.kde.options().bandwidth},
          {"bandwidth_kind", d.kde.options().bandwidth_kind},
          {"bandwidth_shape", d.kde.options().bandwidth_shape},
          {"engine", d.kde.engine()},
          {"error_bound", d.kde.error_bound()},
          {"points", d.kde.rows()},
          {"columns", d.columns},
          {"widths", std::vector<double>(h.data_ptr<double>(), h.data_ptr<double>() + h.numel())},
          {"notes", d.kde.notes()}};
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
  r.text = count_text(d.kde.rows()) + " points, " + d.kde.options().kernel + " kernel, widths by " +
           d.kde.options().bandwidth + "\n";
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
  const at::Tensor log_density = in_file(input, [&] { return d.kde.score_samples(s.x); });
  const std::string csv =
      output.empty() ? "" : write_table(output, table_of({"log_density"}, {log_density}));
  write_page(job, d);
  const double mean = log_density.mean().item<double>();
  Result r;
  r.document = document_of(d);
  r.document["rows"] = s.x.size(0);
  r.document["mean_log_density"] = mean;
  r.text = output == "-"
               ? csv
               : "mean log-density of " + count_text(s.x.size(0)) +
                     " rows: " + number_text("%.6f", mean) + " nats, by " + d.kde.engine() + "\n";
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
