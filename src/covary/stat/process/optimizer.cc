#include "covary/stat/process/optimizer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/numeric/sobol.h"
#include "covary/stat/process/acquisition.h"
#include "covary/stat/process/acquisition_hypervolume.h"
#include "covary/stat/process/candidates.h"
#include "covary/stat/process/hypervolume.h"
#include "covary/stat/process/joint_posterior.h"
#include "covary/stat/process/surrogate.h"

namespace covary::stat {
namespace {

using nlohmann::json;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kManyColumns = 20;  // more than these: a trust region
constexpr double kFirstSide = 0.8, kLeastSide = 0x1p-7, kMostSide = 1.6;
constexpr int kGains = 3;
constexpr int64_t kIncumbents = 5;  // whose neighbourhoods are tried
const double kSettled =
    std::log(1e-5);             // expected improvement, standardised, that is as good as none
constexpr double kNear = 0.1;   // distance of two codes of which one is enough to tell a valley
constexpr double kSame = 1e-9;  // distance of two codes that are one

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Rows from the best down that are not near one already taken.
void thin(const std::vector<double>& codes, const std::vector<double>& y, size_t width,
          std::vector<double>* apart, std::vector<double>* values) {
  std::vector<size_t> order(y.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return y[a] > y[b]; });
  for (const size_t i : order) {
    bool near = false;
    for (size_t j = 0; j < values->size() && !near; ++j) {
      double square = 0;
      for (size_t k = 0; k < width; ++k)
        square += std::pow(codes[i * width + k] - (*apart)[j * width + k], 2);
      near = square < kNear * kNear;
    }
    if (near) continue;
    apart->insert(apart->end(), codes.begin() + static_cast<int64_t>(i * width),
                  codes.begin() + static_cast<int64_t>((i + 1) * width));
    values->push_back(y[i]);
  }
}

}  // namespace

OptimizerGoal OptimizerGoal::of_json(const json& document) {
  const auto refuse = [](const std::string& where, const std::string& what,
                         const std::string& hint) {
    throw Error(ExitCode::kUsage, what, where, hint);
  };
  OptimizerGoal goal;
  const std::string one = R"(as in "objective": {"name": "loss", "goal": "minimise"})";
  const auto objective_of = [&](const json& object) {
    Objective o;
    if (!object.is_object()) refuse("objective", "is no JSON object", one);
    for (const auto& [key, value] : object.items()) {
      const std::string text = value.is_string() ? value.get<std::string>() : "";
      if (key == "name" && value.is_string()) {
        o.name = text;
      } else if (key == "goal" && (text == "minimise" || text == "minimize")) {
        o.maximise = false;
      } else if (key == "goal" && (text == "maximise" || text == "maximize")) {
        o.maximise = true;
      } else if (key == "reference" && value.is_number()) {
        o.reference = value.get<double>();
      } else {
        const bool known = key == "name" || key == "goal" || key == "reference";
        refuse("objective", (known ? "has a wrong \"" : "has an unknown field \"") + key + "\"",
               one);
      }
    }
    return o;
  };
  if (const auto it = document.find("objective"); it != document.end())
    goal.objectives = {objective_of(*it)};
  if (const auto it = document.find("objectives"); it != document.end()) {
    if (!it->is_array() || it->empty() || it->size() > 4 || document.contains("objective")) {
      refuse("objectives", "are no list of one to four, or stand beside \"objective\"", one);
    }
    goal.objectives.clear();
    for (const json& o : *it) goal.objectives.push_back(objective_of(o));
  }
  if (const auto it = document.find("constraints"); it != document.end()) {
    const std::string hint = R"(as in "constraints": [{"name": "weight", "upper": 3}])";
    if (!it->is_array()) refuse("constraints", "are no list", hint);
    for (const json& c : *it) {
      if (!c.is_object() || c.size() != 2 || !c.contains("name") || !c["name"].is_string() ||
          !c.contains("upper") || !c["upper"].is_number()) {
        refuse("constraints", "hold one that has not a name and an upper limit", hint);
      }
      goal.limits.push_back({c["name"].get<std::string>(), c["upper"].get<double>()});
    }
  }
  const std::vector<std::string> names = goal.names();
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty() || std::count(names.begin(), names.end(), names[i]) > 1) {
      refuse("objective and constraints", "need names of their own", "rename \"" + names[i] + "\"");
    }
  }
  return goal;
}

json OptimizerGoal::to_json() const {
  json j = json::object();
  for (const Objective& o : objectives) {
    json one = {{"name", o.name}, {"goal", o.maximise ? "maximise" : "minimise"}};
    if (o.reference) one["reference"] = *o.reference;
    if (several())
      j["objectives"].push_back(one);
    else
      j["objective"] = one;
  }
  for (const Limit& l : limits) j["constraints"].push_back({{"name", l.name}, {"upper", l.upper}});
  return j;
}

std::vector<std::string> OptimizerGoal::names() const {
  std::vector<std::string> out;
  for (const Objective& o : objectives) out.push_back(o.name);
  for (const Limit& l : limits) out.push_back(l.name);
  return out;
}

Optimizer::Optimizer(SearchSpace space, OptimizerGoal goal, OptimizerOptions options)
    : space_(std::move(space)), goal_(std::move(goal)), options_(std::move(options)) {
  options_.check();
  if (space_.size() == 0) throw Error(ExitCode::kUsage, "has no parameters", "search space");
}

int64_t Optimizer::initial() const {
  if (options_.initial > 0) return options_.initial;
  return std::clamp<int64_t>(2 * (space_.width() + 1), 5, 20);
}

bool Optimizer::feasible(const Evaluation& e) const {
  if (std::isnan(e.values[0])) return false;
  for (size_t k = 0; k < goal_.limits.size(); ++k) {
    if (!(e.values[goal_.objectives.size() + k] <= goal_.limits[k].upper)) return false;
  }
  return true;
}

std::optional<Evaluation> Optimizer::best() const {
  std::optional<Evaluation> best;
  const double sign = goal_.objectives[0].sign();
  for (const Evaluation& e : evaluations_) {
    if (feasible(e) && (!best || sign * e.values[0] > sign * best->values[0])) best = e;
  }
  return best;
}

std::vector<double> Optimizer::signed_objectives(size_t count) const {
  std::vector<double> out;
  for (size_t i = 0; i < count; ++i) {
    if (!feasible(evaluations_[i])) continue;
    for (size_t k = 0; k < goal_.objectives.size(); ++k) {
      out.push_back(goal_.objectives[k].sign() * evaluations_[i].values[k]);
    }
  }
  return out;
}

std::vector<size_t> Optimizer::front() const {
  std::vector<size_t> rows, out;
  for (size_t i = 0; i < evaluations_.size(); ++i) {
    if (feasible(evaluations_[i])) rows.push_back(i);
  }
  const std::vector<double> values = signed_objectives(evaluations_.size());
  for (const int64_t i : non_dominated(values, static_cast<int64_t>(goal_.objectives.size()))) {
    out.push_back(rows[static_cast<size_t>(i)]);
  }
  return out;
}

std::vector<double> Optimizer::reference() const {
  const size_t m = goal_.objectives.size();
  const std::vector<double> values = signed_objectives(evaluations_.size());
  std::vector<double> out;
  for (size_t k = 0; k < m; ++k) {
    const OptimizerGoal::Objective& o = goal_.objectives[k];
    double low = kInfinity, high = -kInfinity;
    for (size_t i = k; i < values.size(); i += m) {
      low = std::min(low, values[i]);
      high = std::max(high, values[i]);
    }
    out.push_back(o.reference      ? *o.reference
                  : values.empty() ? 0
                                   : o.sign() * (low - 0.1 * (high - low)));
  }
  return out;
}

std::vector<double> Optimizer::trace() const {
  std::vector<double> out;
  if (goal_.several()) {
    std::vector<double> corner = reference();
    for (size_t k = 0; k < corner.size(); ++k) corner[k] *= goal_.objectives[k].sign();
    for (size_t i = 0; i < evaluations_.size(); ++i) {
      const bool same = i > 0 && !feasible(evaluations_[i]);
      out.push_back(same ? out.back() : hypervolume(signed_objectives(i + 1), corner));
    }
    return out;
  }
  const bool maximise = goal_.objectives[0].maximise;
  double now = std::numeric_limits<double>::quiet_NaN();
  for (const Evaluation& e : evaluations_) {
    if (feasible(e)) {
      now = std::isnan(now) ? e.values[0]
            : maximise      ? std::max(now, e.values[0])
                            : std::min(now, e.values[0]);
    }
    out.push_back(now);
  }
  return out;
}

void Optimizer::tell(const std::vector<double>& row, std::vector<double> values,
                     const std::string& where) {
  space_.check_row(row, where);
  const size_t outputs = goal_.outputs();
  if (values.size() == 1 && std::isnan(values[0])) values.resize(outputs, values[0]);
  if (values.size() != outputs) {
    throw Error(ExitCode::kData,
                "has " + std::to_string(values.size()) + " values for " + std::to_string(outputs) +
                    " outputs",
                where);
  }
  for (size_t k = 0; k < outputs; ++k) {
    if (std::isinf(values[k]) || std::abs(values[k]) > 1e150) {
      throw Error(ExitCode::kData, "the value of " + goal_.names()[k] + " is too large to be used",
                  where, "tell nan for an evaluation that failed");
    }
    // What is known of a failed evaluation in part is not used: one process a mask would be needed.
    if (std::isnan(values[k])) values.assign(outputs, std::numeric_limits<double>::quiet_NaN());
  }
  for (auto it = pending_.begin(); it != pending_.end(); ++it) {
    const std::vector<double> a = space_.encode(*it), b = space_.encode(row);
    double most = 0;
    for (size_t k = 0; k < a.size(); ++k) most = std::max(most, std::abs(a[k] - b[k]));
    if (most > 1e-6) continue;
    pending_.erase(it);
    break;
  }
  evaluations_.push_back({row, std::move(values)});
}

bool Optimizer::is_known(const std::vector<double>& row) const {
  const std::vector<double> code = space_.encode(row);
  const auto same = [&](const std::vector<double>& other) {
    const std::vector<double> c = space_.encode(other);
    double most = 0;
    for (size_t k = 0; k < c.size(); ++k) most = std::max(most, std::abs(c[k] - code[k]));
    return most < kSame;
  };
  return std::any_of(evaluations_.begin(), evaluations_.end(),
                     [&](const Evaluation& e) { return same(e.row); }) ||
         std::any_of(pending_.begin(), pending_.end(), same);
}

// The next Sobol point that is not known yet; in a small space that is used up any one.
std::vector<double> Optimizer::spread_row() {
  const auto seed = static_cast<uint64_t>(options_.seed);
  std::vector<double> unit(static_cast<size_t>(space_.size()));
  std::vector<double> row;
  for (int tries = 0; tries < 200; ++tries) {
    if (space_.size() <= 1000) {
      numeric::Sobol(space_.size(), seed).point(static_cast<uint64_t>(spread_), unit);
    } else {
      const Random random(seed, stream_of("optimizer.spread", static_cast<uint64_t>(spread_)));
      for (size_t k = 0; k < unit.size(); ++k) unit[k] = random.uniform(k);
    }
    ++spread_;
    row = space_.decode(space_.code_of_unit(unit.data()));
    if (!is_known(row)) break;
  }
  return row;
}

// A candidate as a row that is pending from now on. A second value of a known row would tell next to nothing.
std::vector<double> Optimizer::take(const double* code) {
  std::vector<double> row = space_.decode({code, code + space_.width()});
  if (is_known(row)) row = spread_row();
  pending_.push_back(row);
  return row;
}

std::vector<std::vector<double>> Optimizer::ask(int64_t count) {
  if (count < 1 || count > 100000)
    throw Error(ExitCode::kUsage, "must lie in [1, 100000]", "number of rows to ask for");
  report_ = {};
  std::vector<std::vector<double>> rows;
  int64_t done = 0;
  for (const Evaluation& e : evaluations_) done += !std::isnan(e.values[0]);
  const int64_t begun = static_cast<int64_t>(evaluations_.size() + pending_.size());
  if (options_.surrogate == "random" || begun < initial() || done < 2) {
    report_.by = options_.surrogate == "random" ? "random" : "initial";
    for (int64_t i = 0; i < count; ++i) {
      rows.push_back(spread_row());
      pending_.push_back(rows.back());
    }
  } else {
    rows = propose(count);
  }
  asked_ += count;
  return rows;
}

std::vector<std::vector<double>> Optimizer::propose(int64_t count) {
  const auto begin = std::chrono::steady_clock::now();
  const auto width = static_cast<size_t>(space_.width());
  const double sign = goal_.objectives[0].sign();
  const size_t objectives = goal_.objectives.size();
  std::vector<double> codes, all_codes, failed;
  std::vector<std::vector<double>> y(goal_.outputs());
  std::vector<const Evaluation*> known;
  for (const Evaluation& e : evaluations_) {
    const std::vector<double> code = space_.encode(e.row);
    all_codes.insert(all_codes.end(), code.begin(), code.end());
    failed.push_back(std::isnan(e.values[0]) ? 1 : 0);
    if (failed.back() > 0) continue;
    codes.insert(codes.end(), code.begin(), code.end());
    known.push_back(&e);
    for (size_t k = 0; k < y.size(); ++k) {
      y[k].push_back((k < objectives ? goal_.objectives[k].sign() : 1) * e.values[k]);
    }
  }
  std::vector<Surrogate> surrogates;
  for (const std::vector<double>& values : y)
    surrogates.push_back(fit_surrogate(space_, options_, codes, values));
  AcquisitionModel model;
  model.seed = static_cast<uint64_t>(options_.seed) +
               0x9E3779B97F4A7C15u * static_cast<uint64_t>(asked_ + 1);
  if (known.size() < failed.size()) {
    OptimizerOptions smooth = options_;
    smooth.noise = -1;
    surrogates.push_back(fit_surrogate(space_, smooth, all_codes, failed));
  }
  for (size_t k = objectives; k < surrogates.size(); ++k) {
    const Surrogate& s = surrogates[k];
    const double upper = k < y.size() ? goal_.limits[k - objectives].upper : 0.5;
    model.constraints.push_back({&s.process, (upper - s.centre) / s.scale});
  }
  model.objective = &surrogates[0].process;
  report_.kernel = surrogates[0].process.report().kernel;

  // The incumbent: of rows that hold the limits, the largest mean, so that one lucky draw of a noisy value is none.
  std::vector<double> mean(known.size());
  JointPosterior(surrogates[0].process)
      .moments(codes.data(), static_cast<int64_t>(known.size()), mean.data(), nullptr);
  std::vector<size_t> order;
  for (size_t i = 0; i < known.size(); ++i) {
    if (feasible(*known[i])) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return mean[a] > mean[b]; });
  const std::string& kind = options_.acquisition.acquisition;
  if (!order.empty()) model.best = mean[order[0]];
  const bool limited = !model.constraints.empty();
  AcquisitionOptions acquisition_options = options_.acquisition;
  if (limited && (kind == "ucb" || kind == "kg" || kind == "mes" || kind == "thompson")) {
    if (!goal_.limits.empty()) {
      throw Error(ExitCode::kUsage, "knows no constraints", kind,
                  "choose logei, ei, pi or noisy-ei");
    }
    model.constraints.clear();  // failures alone: they are left out of the values, no more
  }
  std::vector<double> incumbents;
  for (size_t i = 0; i < order.size() && static_cast<int64_t>(i) < kIncumbents; ++i) {
    const auto at = codes.begin() + static_cast<std::ptrdiff_t>(order[i] * width);
    incumbents.insert(incumbents.end(), at, at + static_cast<std::ptrdiff_t>(width));
  }
  for (const std::vector<double>& row : pending_) {
    const std::vector<double> code = space_.encode(row);
    model.pending.insert(model.pending.end(), code.begin(), code.end());
  }

  if (goal_.several()) {
    const std::vector<size_t> best = front();
    HypervolumeModel volume{
        .constraints = model.constraints, .pending = model.pending, .seed = model.seed};
    volume.draws = std::min<int64_t>(options_.acquisition.draws, 128);
    volume.constraint_softness = options_.acquisition.constraint_softness;
    std::vector<double> corner = reference(), near;
    for (size_t k = 0; k < objectives; ++k) {
      volume.objectives.push_back(&surrogates[k].process);
      volume.reference.push_back((goal_.objectives[k].sign() * corner[k] - surrogates[k].centre) /
                                 surrogates[k].scale);
    }
    for (const size_t i : best) {
      for (size_t k = 0; k < objectives; ++k) {
        const double v = goal_.objectives[k].sign() * evaluations_[i].values[k];
        volume.observed.push_back((v - surrogates[k].centre) / surrogates[k].scale);
      }
      const std::vector<double> code = space_.encode(evaluations_[i].row);
      near.insert(near.end(), code.begin(), code.end());
    }
    report_.by = "hypervolume";
    report_.fit_s = seconds_since(begin);
    const auto searching = std::chrono::steady_clock::now();
    const Candidates c =
        find_hypervolume_batch(volume, space_, count, options_.candidates, model.seed, near);
    report_.acquisition = c.value;
    std::vector<std::vector<double>> rows;
    for (int64_t i = 0; i < count; ++i) rows.push_back(take(c.points.data() + i * space_.width()));
    report_.search_s = seconds_since(searching);
    return rows;
  }

  CandidateBox box;
  const bool region = options_.trust_region == "on" ||
                      (options_.trust_region == "auto" && space_.width() > kManyColumns);
  if (region && !order.empty()) {
    // The side by all values in their order.
    double side = kFirstSide, top = -kInfinity;
    int64_t gains = 0, misses = 0;
    const auto patience = std::max<int64_t>(4, space_.width());
    for (size_t e = 0; e < evaluations_.size(); ++e) {
      const Evaluation& one = evaluations_[e];
      const double v = feasible(one) ? sign * one.values[0] : -kInfinity;
      const bool gain = v > top + (top > -kInfinity ? 1e-3 * std::abs(top) : 0);
      if (v > top) top = v;
      if (static_cast<int64_t>(e) < initial()) continue;
      gains = gain ? gains + 1 : 0;
      misses = gain ? 0 : misses + 1;
      if (gains >= kGains) {
        side = std::min(2 * side, kMostSide);
        gains = 0;
      }
      if (misses >= patience) {
        side /= 2;
        misses = 0;
      }
      if (side < kLeastSide) side = kFirstSide;
    }
    report_.region = side;
    std::vector<double> scales(width, 1.0);
    double log_mean = 0;
    for (const KernelParameter& p : surrogates[0].process.kernel().parameters()) {
      if (p.role != ParameterRole::kLengthscale) continue;
      scales[static_cast<size_t>(std::max<int64_t>(p.dimension, 0))] = p.value;
      log_mean += std::log(p.value) / static_cast<double>(width);
    }
    for (size_t k = 0; k < width; ++k) {
      const double reach = 0.5 * side * std::clamp(scales[k] / std::exp(log_mean), 0.1, 10.0);
      box.lower.push_back(std::clamp(incumbents[k] - reach, 0.0, 1.0));
      box.upper.push_back(std::clamp(incumbents[k] + reach, 0.0, 1.0));
    }
  }
  model.lower = box.lower;
  model.upper = box.upper;
  report_.fit_s = seconds_since(begin);

  const auto searched = std::chrono::steady_clock::now();
  report_.by = kind;
  const bool single = kind == "pi" || kind == "kg" || kind == "mes";
  if (single) model.pending.clear();
  // Jointly, or point by point with those before as pending.
  const bool joint = kind == "thompson" || (!single && count * space_.width() <= options_.joint);
  std::vector<std::vector<double>> rows;
  for (int64_t turn = 0; turn < (joint ? 1 : count); ++turn) {
    const int64_t points = joint ? count : 1;
    auto acquisition = make_acquisition(acquisition_options, model);
    Candidates c = find_candidates(*acquisition, space_, points, options_.candidates,
                                   model.seed + static_cast<uint64_t>(turn), incumbents, box);
    // Nothing is left to gain where the process looks: every other batch is drawn from what a process that has not seen
    // the many rows about the best does not exclude.
    if (kind == "logei" && !limited && c.value < kSettled && evaluations_.size() % 2 == 1) {
      std::vector<double> apart, values;
      thin(codes, y[0], width, &apart, &values);
      const Surrogate sparse = fit_surrogate(space_, options_, apart, values);
      AcquisitionOptions draw = acquisition_options;
      draw.acquisition = report_.by = "thompson";
      AcquisitionModel alone{.objective = &sparse.process, .lower = box.lower, .upper = box.upper};
      alone.seed = model.seed + static_cast<uint64_t>(turn);
      acquisition = make_acquisition(draw, alone);
      c = find_candidates(*acquisition, space_, points, options_.candidates, alone.seed, incumbents,
                          box);
    }
    report_.acquisition = c.value;
    for (int64_t i = 0; i < points; ++i) {
      rows.push_back(take(c.points.data() + i * space_.width()));
      const std::vector<double> code = space_.encode(rows.back());
      if (!single) model.pending.insert(model.pending.end(), code.begin(), code.end());
    }
  }
  report_.search_s = seconds_since(searched);
  return rows;
}

data::Model Optimizer::model() const {
  data::Model m{.schema = "covary.optimizer", .version = 1};
  OptimizerOptions options = options_;
  m.fields = space_.to_json();
  m.fields.update(goal_.to_json());
  m.fields["options"] = OptionList(options).to_json();
  m.fields["seed"] = options_.seed;
  m.fields["asked"] = asked_;
  m.fields["spread"] = spread_;
  std::vector<double> rows, values, waiting;
  for (const Evaluation& e : evaluations_) {
    rows.insert(rows.end(), e.row.begin(), e.row.end());
    values.insert(values.end(), e.values.begin(), e.values.end());
  }
  for (const std::vector<double>& row : pending_)
    waiting.insert(waiting.end(), row.begin(), row.end());
  const auto n = static_cast<int64_t>(evaluations_.size());
  m.put("rows", std::move(rows), {n, space_.size()});
  m.put("values", std::move(values), {n, static_cast<int64_t>(goal_.outputs())});
  m.put("pending", std::move(waiting), {static_cast<int64_t>(pending_.size()), space_.size()});
  return m;
}

Optimizer Optimizer::of_model(const data::Model& model) {
  const auto count = [&](const char* field) {
    const double v = model.number(field);
    if (v < 0 || v > 9e15 || v != std::floor(v)) model.refuse(field, "is no count");
    return static_cast<int64_t>(v);
  };
  try {
    OptimizerOptions options;
    OptionList(options).apply(model.fields.at("options"), model.path);
    options.seed = count("seed");
    Optimizer out(SearchSpace::of_json(model.fields), OptimizerGoal::of_json(model.fields),
                  options);
    const int64_t size = out.space_.size(), outputs = static_cast<int64_t>(out.goal_.outputs());
    const std::vector<double>& rows = model.doubles("rows", {-1, size});
    const int64_t n = model.size("rows", 0);
    const std::vector<double>& values = model.doubles("values", {n, outputs});
    const std::vector<double>& waiting = model.doubles("pending", {-1, size});
    for (int64_t i = 0; i < n; ++i) {
      out.tell({rows.begin() + i * size, rows.begin() + (i + 1) * size},
               {values.begin() + i * outputs, values.begin() + (i + 1) * outputs},
               model.path + ": rows[" + std::to_string(i) + "]");
    }
    for (int64_t i = 0; i < model.size("pending", 0); ++i) {
      out.pending_.emplace_back(waiting.begin() + i * size, waiting.begin() + (i + 1) * size);
      out.space_.check_row(out.pending_.back(),
                           model.path + ": pending[" + std::to_string(i) + "]");
    }
    out.asked_ = count("asked");
    out.spread_ = count("spread");
    return out;
  } catch (const json::exception& e) {
    model.refuse("options", std::string("are not those of an optimizer: ") + e.what());
  } catch (const Error& e) {
    if (e.code() == ExitCode::kData) throw;
    throw Error(ExitCode::kData, e.message(), model.path + ": " + e.where(), e.hint());
  }
}

}  // namespace covary::stat
