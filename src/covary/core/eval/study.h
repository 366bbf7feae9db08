// Studies: published claims as programs. A study is a list of bars; a bar measures a baseline and
// ours in the same run and holds one comparison. `covary study SLUG` runs it and writes a document
// ("covary-study/1").
//
//   const Study kStudy{
//       .slug = "ges", .title = "...",
//       .bars = {{.id = "2", .part = "a", .title = "size at equal quality",
//                 .metric = "bytes ratio", .unit = "1",
//                 .paper = Paper{0.51, "table 1", "9 scenes"}, .desk = true,
//                 .measure = [](StudyContext& c) {
//                   const auto path = c.data("chair");  // absent: the bar is skipped, and says so
//                   BarResult r;
//                   r.baseline = Quantity{.name = "3dgs", .value = bytes0, .unit = "bytes"};
//                   r.ours = Quantity{.value = bytes1, .unit = "bytes"};
//                   r.bound = {"ours <= 0.55 * baseline", bytes1, "<=", 0.55 * bytes0};
//                   return r;
//                 }}}};
//   const bool kRegistered = register_study(kStudy);
//
// A bar that throws fails, with the message as its note; one that calls skip() is skipped and
// named. NaN fails.
#pragma once

#include <any>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/core/base/temporary_folder.h"
#include "covary/core/eval/study_options.h"

namespace covary::eval {

// A figure as the paper prints it; shown beside ours, never a criterion.
struct Paper {
  double value = 0;
  std::string where = "";    // "table 1"
  std::string setting = "";  // "9 scenes, 30k steps"
};

struct Quantity {
  std::string name = "";  // of a baseline; empty for ours
  double value = 0;       // mean over n runs
  std::string unit = "";
  int64_t n = 1;
  std::optional<double> low = std::nullopt,
                        high = std::nullopt;  // smallest and largest of the runs
};

// left op right. op is one of <= >= < > == in; `in` compares with [right, upper].
struct Bound {
  std::string text;  // for people: "ours >= baseline + 1 dB"
  double left = 0;
  std::string op = ">=";
  double right = 0;
  double upper = 0;
};
bool holds(const Bound& bound);  // false when a number is NaN; Error(kFailed) for an unknown op

struct Table {
  std::string name;
  std::vector<std::string> columns;
  std::vector<std::vector<nlohmann::json>> rows;
};

struct BarResult {
  std::optional<Quantity> baseline = std::nullopt;
  std::optional<Quantity> ours = std::nullopt;
  Bound bound;
  std::string note = "";
};

enum class Scale { kSmoke, kDesk, kFull };

// What a bar may ask of the run that it is part of.
class StudyContext {
 public:
  Scale scale() const { return scale_; }
  bool smoke() const { return scale_ == Scale::kSmoke; }
  uint64_t seed() const { return seed_; }
  int64_t repeats() const { return repeats_; }
  const StudyOptions& options() const { return options_; }

  // The folder or file of a data set below --data-root or $COVARY_DATA. Absent: the bar is skipped
  // and the data set named. Recorded in the document with its checksum; stand_in tells that the
  // paper used another.
  std::filesystem::path data(const std::string& name, bool stand_in = false);

  // A folder for what this study writes: OUT/<name>, or a temporary one that goes away after the
  // run.
  std::filesystem::path folder(const std::string& name);

  [[noreturn]] void skip(const std::string& reason);

  // Measured once a run and shared by the bars that compare parts of it; the bar that asks first
  // pays.
  template <class T>
  const T& shared(const std::string& key, const std::function<T()>& measure) {
    std::any& slot = shared_[key];
    if (!slot.has_value()) slot = std::make_any<T>(measure());
    return *std::any_cast<T>(&slot);
  }

  // f(seed), f(seed + 1), ... options.repeats times, at_least so often where one seed tells too
  // little: mean, smallest and largest. Baselines that call it too see the same seeds.
  Quantity repeated(const std::string& unit, const std::function<double(uint64_t)>& f,
                    int64_t at_least = 1) const;

  void log(const std::string& line) const;  // on stderr
  void table(Table table);                  // into the document; replaces one of the same name
  void plot(const std::string& file);       // a file of the output folder, for the document

  // Largest resident set since the bar began, bytes (the process's own where the kernel cannot
  // reset the mark).
  int64_t peak_memory_bytes() const;

 private:
  friend class StudyRun;
  StudyContext(Scale scale, uint64_t seed, const StudyOptions& options);

  Scale scale_;
  uint64_t seed_;
  int64_t repeats_;
  StudyOptions options_;
  std::map<std::string, std::any> shared_;
  std::vector<nlohmann::json> data_;
  std::vector<Table> tables_;
  std::vector<std::string> plots_;
  std::shared_ptr<const TemporaryFolder> temporary_;  // removed with the last context
};

struct Bar {
  std::string id;  // the number in the spec's list of bars; "oracles" for an un-numbered list
  std::string part = "";  // tells several comparisons of one number apart: "a", "b"
  std::string title;
  std::string metric = "";
  std::string unit = "";
  std::optional<Paper> paper = std::nullopt;
  std::string bound = "";                          // what is compared, for a bar that does not run
  bool smoke = false, desk = false, full = false;  // the scales it runs at
  bool takes_long = false;  // runs with --long or when named by --bars (desk and full)
  bool gpu = false;         // skipped where there is none
  std::function<BarResult(StudyContext&)> measure =
      nullptr;  // null: not written yet; makes the study "partial"
};

// A bar at smoke and desk scale.
Bar bar_of(const std::string& id, const std::string& part, const std::string& title,
           const std::string& metric, const std::string& unit, const std::string& bound,
           std::function<BarResult(StudyContext&)> measure);

// A bar at smoke and desk scale whose one number must not exceed the bound; with bound 0 it must be
// 0. `words` is what is compared, "ours" or "error": "ours <= 1e-09".
Bar at_most(const std::string& id, const std::string& part, const std::string& title,
            const std::string& metric, double bound, std::function<double(StudyContext&)> measure,
            const std::string& words = "ours");

struct Study {
  std::string slug, title;
  std::vector<Bar> bars;
  std::vector<std::string> ablations = {};  // words that --ablate may name
  std::vector<std::string> matches = {};    // words that --match may name
};

bool register_study(Study study);  // true, so that a constant can be initialised with it; a slug
                                   // twice is Error(kFailed)
const Study* find_study(const std::string& slug);

// Runs one study and returns its document. Writes it after every bar to options.json_file and
// options.output/study.json, where given. Errors: kUsage (bars or ablations that the study does not
// have, a document of another study, scale or seed to resume), kData (outputs that cannot be
// written). Interrupted passes through, with the finished bars on disk.
nlohmann::json run_study(const Study& study, const StudyOptions& options);

// The verb: list, table, check, all or one study, with its summary on `out`. Returns the exit code:
// 0, or 4 when a bar failed or none could run. An unknown slug is Error(kUsage) naming the nearest.
int study_main(const StudyOptions& options, std::ostream& out);

}  // namespace covary::eval
