#include "covary/cli/verbs/sweep.h"

#include <algorithm>

#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/tables.h"
#include "covary/cli/verbs/train_run.h"
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

Result run_sweep(const Job& job, const fs::path& out) {
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

    Invocation one = v;
    CommonOptions common = job.common;
    common.seed += static_cast<int64_t>(index % static_cast<size_t>(job.common.repeats));
    auto options = job.options<fit::TrainOptions>();
    OptionList list(options);
    nlohmann::ordered_json row = {{"run", name}};
    std::string told;
    for (size_t k = 0; k < v.sweeps.size(); ++k) {
      const std::string& key = v.sweeps[k].key;
      row[key] = point[k];
      told += " " + key + "=" + point[k];
      if (key.rfind("data.", 0) == 0)
        one.inputs[0] = with_parameter(one.inputs[0], key.substr(5), point[k]);
      else if (key == "seed")
        common.seed = std::stoll(point[k]) +
                      static_cast<int64_t>(index % static_cast<size_t>(job.common.repeats));
      else
        list.set(key, point[k], "--sweep " + key);
    }
    list.finish();
    options.check();
    row["seed"] = common.seed;
    one.common["seed"] = common.seed;

    json metrics;
    const bool done =
        job.common.resume && fs::exists(run / "scene.ply") && fs::exists(run / "metrics.json");
    if (done) {
      metrics = json::parse(read_file(run / "metrics.json"), nullptr, false);
    } else {
      log_info("sweep " + std::to_string(index + 1) + "/" + std::to_string(total) + ":" + told);
      metrics = train_once(one, options, common, run).metrics;
    }
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

}  // namespace covary::cli
