#include "covary/cli/verbs/sweep.h"

#include <algorithm>

#include "covary/cli/verb_table.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/samples.h"
#include "covary/cli/verbs/tables.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/log.h"

namespace covary::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Points of the grid: the last sweep changes fastest.
std::vector<std::vector<std::string>> grid(const std::vector<Sweep>& sweeps) {
  std::vector<std::vector<std::string>> points = {{}};
  for (const Sweep& s : sweeps) {
    std::vector<std::vector<std::string>> longer;
    for (const auto& p : points)
      for (const std::string& v : s.values) {
        longer.push_back(p);
        longer.back().push_back(v);
      }
    points = std::move(longer);
  }
  return points;
}

// "sample:studio,views=60" with a parameter set anew.
std::string with_parameter(const std::string& input, const std::string& name,
                           const std::string& value) {
  std::string out;
  for (size_t begin = 0; begin <= input.size();) {
    const size_t end = std::min(input.find(',', begin), input.size());
    const std::string part = input.substr(begin, end - begin);
    if (part.rfind(name + "=", 0) != 0) out += (out.empty() ? "" : ",") + part;
    begin = end + 1;
  }
  return out + "," + name + "=" + value;
}

}  // namespace

Result run_sweep(const Job& job, const fs::path& out, const RunPoint& run_point) {
  const Invocation& v = job.invocation;
  const fs::path folder = out / "sweep";
  if (!job.common.resume && !job.common.overwrite && !is_empty_or_absent(out))
    throw Error(
        ExitCode::kData, "the folder is not empty", out.string(),
        "add --resume to go on with its sweep, --overwrite to replace it, or choose another");
  const auto points = grid(v.sweeps);
  const json plan = v.to_json();
  json plan_record = {{"inputs", plan["inputs"]},
                      {"options", recorded_options(v)},
                      {"sweeps", plan["sweeps"]},
                      {"repeats", job.common.repeats}};
  make_folder(folder);
  const fs::path record = folder / "sweep.json";
  if (job.common.resume && fs::exists(record) &&
      json::parse(read_file(record), nullptr, false) != plan_record)
    throw Error(ExitCode::kUsage, "this folder holds another sweep", out.string(),
                "give the same options and sweeps, or choose another folder");
  write_file(record, plan_record.dump(2) + "\n");

  Table table;
  const size_t total = points.size() * static_cast<size_t>(job.common.repeats);
  for (size_t index = 0; index < total; ++index) {
    const auto& point = points[index / static_cast<size_t>(job.common.repeats)];
    char name[32];
    std::snprintf(name, sizeof(name), "%03zu", index);
    const fs::path run = folder / name;

    Job one = job;
    one.invocation.sweeps.clear();
    one.common.seed += static_cast<int64_t>(index % static_cast<size_t>(job.common.repeats));
    const auto options = find_verb(v.verb)->make();
    options->list().apply(v.options, "options");
    nlohmann::ordered_json row = {{"run", name}};
    std::string told;
    for (size_t k = 0; k < v.sweeps.size(); ++k) {
      const std::string& key = v.sweeps[k].key;
      row[key] = point[k];
      told += " " + key + "=" + point[k];
      if (key.rfind("data.", 0) == 0)
        one.invocation.inputs[0] =
            with_parameter(one.invocation.inputs[0], key.substr(5), point[k]);
      else if (key == "seed")
        one.common.seed = std::stoll(point[k]) +
                          static_cast<int64_t>(index % static_cast<size_t>(job.common.repeats));
      else
        options->list().set(key, point[k], "--sweep " + key);
    }
    options->list().finish();
    options->check();
    one.invocation.options = options->list().to_json();
    row["seed"] = one.common.seed;
    one.invocation.common["seed"] = one.common.seed;

    log_info("sweep " + std::to_string(index + 1) + "/" + std::to_string(total) + ":" + told);
    const json metrics = run_point(one, run);
    row.update(flattened(metrics));
    table.add(row);

    // After every run: an interrupted sweep leaves the table of what is there.
    table.write(folder / "table.csv");
    table.write(folder / "table.json");
  }
  Result result;
  result.document = {{"run", out.string()}, {"columns", table.columns}, {"rows", table.rows}};
  result.text = std::to_string(total) + " runs in " + folder.string() + ": see table.csv\n";
  return result;
}

Result sweep_fits(const Job& job, Result (*fit)(const Job&)) {
  const std::string out = one_output(job.invocation.outputs);
  if (out.empty() || out.ends_with(".cov") || out.ends_with(".json"))
    throw Error(ExitCode::kUsage, "a sweep writes a folder", "--sweep", "name a folder: -o OUT");
  if (job.invocation.inputs[0] == "-")
    throw Error(ExitCode::kUsage, "standard input can be read once", "--sweep",
                "write the table to a file first");
  return run_sweep(job, out, [&](const Job& point, const fs::path& run) {
    const fs::path done = run / "result.json";
    if (job.common.resume && fs::exists(done) && fs::exists(run / "model.cov"))
      return json::parse(read_file(done), nullptr, false);
    make_folder(run);
    Job one = point;
    one.invocation.outputs = {(run / "model.cov").string()};
    const json document = fit(one).document;
    write_file(done, document.dump(2) + "\n");
    return document;
  });
}

}  // namespace covary::cli
