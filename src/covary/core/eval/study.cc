#include "covary/core/eval/study.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/log.h"
#include "covary/core/base/machine.h"
#include "covary/core/eval/catalogue.h"
#include "covary/core/eval/ceilings.h"
#include "covary/core/eval/document.h"

#include <torch/version.h>

namespace covary::eval {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Skipped {
  std::string reason;
};

std::map<std::string, Study>& registry() {
  static std::map<std::string, Study> studies;
  return studies;
}

std::string utc_now() {
  const std::time_t t = std::time(nullptr);
  std::tm tm{};
  gmtime_r(&t, &tm);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
  return text;
}

// Starts the kernel's mark of the largest resident set again, where it lets us.
void reset_peak_memory() {
  std::ofstream out("/proc/self/clear_refs");
  out << "5" << std::flush;
}

int64_t peak_since_reset() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::strtoll(line.c_str() + 6, nullptr, 10) * 1024;
  }
  return covary::peak_memory_bytes();
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// A checksum of a file, or of a folder: of its files' relative names and checksums, sorted.
std::string checksum(const fs::path& path) {
  if (!fs::is_directory(path)) return sha256_file(path);
  std::vector<fs::path> files;
  for (const auto& e : fs::recursive_directory_iterator(path)) {
    if (e.is_regular_file()) files.push_back(e.path());
  }
  std::sort(files.begin(), files.end());
  std::string text;
  for (const auto& f : files) {
    text += fs::relative(f, path).generic_string() + " " + sha256_file(f) + "\n";
  }
  return sha256({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

std::string name_of(const Bar& bar) { return bar.id + bar.part; }

bool runs_at(const Bar& bar, Scale scale) {
  return scale == Scale::kSmoke ? bar.smoke : scale == Scale::kDesk ? bar.desk : bar.full;
}

Scale scale_of(const std::string& word) {
  return word == "smoke" ? Scale::kSmoke : word == "desk" ? Scale::kDesk : Scale::kFull;
}

// Whether text is all digits, and its value.
std::optional<int64_t> whole(const std::string& text) {
  if (text.empty() || text.size() > 9) return std::nullopt;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
  }
  return std::stoll(text);
}

// The bars that --bars names; every bar when it is empty.
std::vector<bool> chosen_bars(const Study& study, const std::vector<std::string>& words) {
  std::vector<bool> chosen(study.bars.size(), words.empty());
  for (const std::string& word : words) {
    const size_t at = word.find_first_of(":-");
    bool any = false;
    std::optional<int64_t> low, high;
    if (at != std::string::npos) {
      low = whole(word.substr(0, at));
      high = whole(word.substr(at + 1));
    }
    for (size_t i = 0; i < study.bars.size(); ++i) {
      const Bar& bar = study.bars[i];
      const auto id = whole(bar.id);
      const bool inside = low && high && id && *low <= *id && *id <= *high;
      if (bar.id == word || name_of(bar) == word || inside) chosen[i] = any = true;
    }
    if (!any) {
      std::string known;
      for (const Bar& bar : study.bars) known += (known.empty() ? "" : ", ") + name_of(bar);
      throw Error(ExitCode::kUsage, "study " + study.slug + " has no bar '" + word + "'", "bars",
                  "its bars: " + known);
    }
  }
  return chosen;
}

void check_words(const std::vector<std::string>& asked, const std::vector<std::string>& known,
                 const std::string& slug, const std::string& field) {
  for (const std::string& word : asked) {
    if (std::find(known.begin(), known.end(), word) != known.end()) continue;
    std::string list;
    for (const auto& k : known) list += (list.empty() ? "" : ", ") + k;
    throw Error(ExitCode::kUsage, "study " + slug + " knows no '" + word + "'", field,
                known.empty() ? "this study has none" : "one of: " + list);
  }
}

json read_document(const fs::path& path) {
  json d = json::parse(read_file(path), nullptr, false);
  if (d.is_discarded()) {
    throw Error(ExitCode::kData, "not JSON", path.string(), "name a document of covary study");
  }
  return d;
}

// Where published documents lie: as told, else studies/results here or beside the build folder.
fs::path results_folder(const StudyOptions& options) {
  if (!options.results.empty()) return options.results;
  std::error_code ignored;
  const fs::path here = "studies/results";
  if (fs::is_directory(here, ignored)) return here;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  const fs::path beside = program.parent_path().parent_path() / "studies" / "results";
  return fs::is_directory(beside, ignored) ? beside : here;
}

// The sound desk documents of the folder, by slug.
std::map<std::string, json> published(const fs::path& folder) {
  std::map<std::string, json> documents;
  std::error_code error;
  std::vector<fs::path> files;
  for (const auto& e : fs::directory_iterator(folder, error)) {
    if (e.path().extension() == ".json") files.push_back(e.path());
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    const json d = read_document(file);
    const auto faults = document_faults(d);
    if (!faults.empty()) {
      log_warning(file.filename().string() + ": not shown: " + faults.front());
      continue;
    }
    if (d.at("scale") == "desk") documents[d.at("slug").get<std::string>()] = d;
  }
  return documents;
}

struct State {
  size_t written = 0, all = 0;
  bool ready() const { return all > 0 && written == all; }
  std::string text() const {
    if (all == 0) return "planned";
    if (ready()) return "ready";
    return "partial " + std::to_string(written) + "/" + std::to_string(all);
  }
};

State state_of(const std::string& slug) {
  State s;
  if (const Study* study = find_study(slug)) {
    s.all = study->bars.size();
    for (const Bar& bar : study->bars) s.written += bar.measure ? 1 : 0;
  }
  return s;
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(width, text.size() + 1), ' ');
  return text;
}

// Every study of the catalogue, then registered ones that it does not have.
std::vector<CatalogueEntry> known_studies() {
  std::vector<CatalogueEntry> all = catalogue();
  for (const auto& [slug, study] : registry()) {
    if (std::none_of(all.begin(), all.end(), [&](const auto& e) { return e.slug == slug; })) {
      all.push_back({slug, study.title});
    }
  }
  return all;
}

json list_json(const StudyOptions& options) {
  const auto documents = published(results_folder(options));
  json rows = json::array();
  for (const auto& e : known_studies()) {
    const std::string slug(e.slug);
    json row = {{"slug", slug},       {"line", e.line},
                {"core", e.core},     {"state", state_of(slug).text()},
                {"verdict", nullptr}, {"date", nullptr}};
    if (const auto d = documents.find(slug); d != documents.end()) {
      row["verdict"] = d->second.at("verdict");
      row["date"] = d->second.at("started").get<std::string>().substr(0, 10);
    }
    rows.push_back(row);
  }
  return rows;
}

void print_list(const json& rows, std::ostream& out) {
  bool cores = false;
  for (const json& row : rows) {
    if (row.at("core").get<bool>() && !cores) {
      cores = true;
      out << "shared cores\n";
    }
    std::string verdict = "-";
    if (row.at("verdict").is_string()) {
      verdict = row.at("verdict").get<std::string>() + " " + row.at("date").get<std::string>();
    }
    out << padded(row.at("slug").get<std::string>(), 29)
        << padded(row.at("state").get<std::string>(), 13) << padded(verdict, 16)
        << row.at("line").get<std::string>() << "\n";
  }
}

const Study& wanted_study(const std::string& slug) {
  if (const Study* study = find_study(slug)) return *study;
  std::vector<std::string> words;
  for (const auto& e : known_studies()) {
    if (e.slug == slug) {
      throw Error(ExitCode::kUsage, "study '" + slug + "' is planned, not written yet", "study",
                  "`covary study --list` shows which are ready");
    }
    words.emplace_back(e.slug);
  }
  const std::string near = nearest_word(slug, words);
  throw Error(ExitCode::kUsage, "unknown study '" + slug + "'", "study",
              near.empty() ? "`covary study --list` prints them" : "did you mean '" + near + "'?");
}

}  // namespace

Bar bar_of(const std::string& id, const std::string& part, const std::string& title,
           const std::string& metric, const std::string& unit, const std::string& bound,
           std::function<BarResult(StudyContext&)> measure) {
  return {.id = id,
          .part = part,
          .title = title,
          .metric = metric,
          .unit = unit,
          .bound = bound,
          .smoke = true,
          .desk = true,
          .measure = std::move(measure)};
}

Bar at_most(const std::string& id, const std::string& part, const std::string& title,
            const std::string& metric, double bound, std::function<double(StudyContext&)> measure,
            const std::string& words) {
  const char* op = bound == 0 ? "==" : "<=";
  char limit[32];
  std::snprintf(limit, sizeof limit, " %s %g", op, bound);
  const std::string text = words + limit;
  return bar_of(id, part, title, metric, "1", text, [=](StudyContext& c) {
    const double value = measure(c);
    BarResult r;
    r.ours = Quantity{.value = value, .unit = "1"};
    r.bound = {.text = text, .left = value, .op = op, .right = bound};
    return r;
  });
}

// --- context -----------------------------------------------------------------------------------

StudyContext::StudyContext(Scale scale, uint64_t seed, const StudyOptions& options)
    : scale_(scale), seed_(seed), repeats_(options.repeats), options_(options) {}

fs::path StudyContext::data(const std::string& name, bool stand_in) {
  std::string root = options_.data_root;
  if (root.empty()) {
    if (const char* variable = std::getenv("COVARY_DATA")) root = variable;
  }
  if (root.empty()) skip("data set '" + name + "': no --data-root and no $COVARY_DATA");
  const fs::path path = fs::path(root) / name;
  if (!fs::exists(path)) skip("data set '" + name + "' is not under the data root");
  for (const json& d : data_) {
    if (d.at("name") == name) return path;
  }
  data_.push_back({{"name", name}, {"sha256", checksum(path)}, {"stand_in", stand_in}});
  return path;
}

fs::path StudyContext::folder(const std::string& name) {
  fs::path base = options_.output;
  if (base.empty()) {
    if (!temporary_) temporary_ = std::make_shared<TemporaryFolder>("study");
    base = temporary_->path();
  }
  make_folder(base / name);
  return base / name;
}

void StudyContext::skip(const std::string& reason) { throw Skipped{reason}; }

Quantity StudyContext::repeated(const std::string& unit, const std::function<double(uint64_t)>& f,
                                int64_t at_least) const {
  const int64_t repeats = std::max(repeats_, at_least);
  Quantity q{.value = 0, .unit = unit, .n = repeats};
  double low = INFINITY, high = -INFINITY;
  for (int64_t i = 0; i < repeats; ++i) {
    const double v = f(seed_ + static_cast<uint64_t>(i));
    q.value += v / static_cast<double>(repeats);
    low = std::min(low, v);
    high = std::max(high, v);
  }
  if (repeats > 1) {
    q.low = low;
    q.high = high;
  }
  return q;
}

void StudyContext::log(const std::string& line) const { log_info(line); }

void StudyContext::table(Table table) {
  for (Table& t : tables_) {
    if (t.name == table.name) {
      t = std::move(table);
      return;
    }
  }
  tables_.push_back(std::move(table));
}

void StudyContext::plot(const std::string& file) {
  if (std::find(plots_.begin(), plots_.end(), file) == plots_.end()) plots_.push_back(file);
}

int64_t StudyContext::peak_memory_bytes() const { return peak_since_reset(); }

// --- runner ------------------------------------------------------------------------------------

class StudyRun {
 public:
  StudyRun(const Study& study, const StudyOptions& options)
      : study_(study),
        options_(options),
        context_(scale_of(options.scale), static_cast<uint64_t>(options.seed), options),
        chosen_(chosen_bars(study, options.bars)) {
    check_words(options.ablate, study.ablations, study.slug, "ablate");
    if (!options.match.empty()) check_words({options.match}, study.matches, study.slug, "match");
    start_document();
    if (!options.output.empty()) prepare_output();
    if (options.resume) resume();
  }

  json run() {
    const InterruptGuard guard;
    for (size_t i = 0; i < study_.bars.size(); ++i) {
      const Bar& bar = study_.bars[i];
      json& written = document_["bars"][i];
      if (written.at("status") == "ran") {
        context_.log(name_of(bar) + ": finished before, kept");
        continue;
      }
      const std::string why_not = reason_to_skip(i);
      if (!why_not.empty()) {
        // What an earlier run says of a bar that this one was not asked for stays.
        if (written.at("status") == "skipped") written = skipped_bar(bar, why_not);
        continue;
      }
      if (const int code = covary::interrupted()) {
        save();
        throw Interrupted{code};
      }
      context_.log(study_.slug + " " + name_of(bar) + ": " + bar.title);
      measure(bar, written);
      save();
    }
    save();
    return document_;
  }

 private:
  void start_document() {
    json machine = machine_description();
    if (machine.at("simd").is_null()) machine["simd"] = simd_name();
    if (machine.at("torch").is_null()) machine["torch"] = TORCH_VERSION;
    document_ = {{"schema", "covary-study/1"},
                 {"slug", study_.slug},
                 {"title", study_.title},
                 {"scale", options_.scale},
                 {"seed", options_.seed},
                 {"device", "cpu"},
                 {"machine", machine},
                 {"started", utc_now()},
                 {"wall_s", 0.0},
                 {"cpu_s", 0.0},
                 {"peak_mb", 0.0},
                 {"options",
                  {{"bars", options_.bars},
                   {"long", options_.long_bars},
                   {"repeats", options_.repeats},
                   {"ablate", options_.ablate},
                   {"match", options_.match}}},
                 {"data", json::array()},
                 {"bars", json::array()},
                 {"tables", json::array()},
                 {"plots", json::array()}};
    for (const Bar& bar : study_.bars) {
      document_["bars"].push_back(skipped_bar(bar, "not reached yet"));
    }
  }

  fs::path document_in_folder() const { return fs::path(options_.output) / "study.json"; }

  void prepare_output() const {
    std::error_code ignored;
    if (!options_.resume && !options_.overwrite && fs::is_directory(options_.output, ignored) &&
        !fs::is_empty(options_.output, ignored)) {
      throw Error(ExitCode::kData, "the folder is not empty", options_.output,
                  "--resume keeps its finished bars, --overwrite writes over it");
    }
    make_folder(options_.output);
  }

  // Takes the finished bars of the document on disk; without one the run starts afresh.
  void resume() {
    fs::path path = options_.json_file;
    if (path.empty() || !fs::exists(path)) path = document_in_folder();
    if (!fs::exists(path)) {
      context_.log("nothing to resume from, starting afresh");
      return;
    }
    const json old = read_document(path);
    if (const auto faults = document_faults(old); !faults.empty()) {
      throw Error(ExitCode::kData, "cannot resume: " + faults.front(), path.string(),
                  "run without --resume to start afresh");
    }
    for (const char* key : {"slug", "scale", "seed"}) {
      if (old.at(key) != document_.at(key)) {
        throw Error(ExitCode::kUsage,
                    std::string("the document has ") + key + " " + old.at(key).dump() +
                        ", asked is " + document_.at(key).dump(),
                    path.string(), "name another document, or run without --resume");
      }
    }
    for (size_t i = 0; i < study_.bars.size(); ++i) {
      for (const json& bar : old.at("bars")) {
        if (bar.at("id") == study_.bars[i].id && bar.at("part") == study_.bars[i].part &&
            bar.at("status") != "skipped") {
          document_["bars"][i] = bar;
        }
      }
    }
    for (const char* key : {"started", "wall_s", "cpu_s", "peak_mb", "data", "tables", "plots"}) {
      document_[key] = old.at(key);
    }
    before_wall_ = old.at("wall_s").get<double>();
    before_cpu_ = old.at("cpu_s").get<double>();
  }

  // Why a bar does not run; empty when it does.
  std::string reason_to_skip(size_t i) const {
    const Bar& bar = study_.bars[i];
    const bool named = chosen_[i] && !options_.bars.empty();
    if (!bar.measure) return "not written yet";
    if (!runs_at(bar, context_.scale())) {
      std::string at;
      for (const auto& [flag, word] :
           {std::pair{bar.smoke, "smoke"}, {bar.desk, "desk"}, {bar.full, "full"}}) {
        if (flag) at += (at.empty() ? "" : ", ") + std::string(word);
      }
      return "runs at scale " + at;
    }
    if (!chosen_[i]) return "not asked for";
    if (bar.takes_long && context_.scale() != Scale::kSmoke && !options_.long_bars && !named) {
      return "takes long: --long or --bars " + name_of(bar);
    }
    if (bar.gpu && document_.at("machine").at("gpu").is_null()) return "no GPU";
    return "";
  }

  void measure(const Bar& bar, json& written) {
    reset_peak_memory();
    const double t0 = wall_seconds();
    try {
      const BarResult result = bar.measure(context_);
      written = measured_bar(bar, result, options_.scale, wall_seconds() - t0);
    } catch (const Skipped& s) {
      written = skipped_bar(bar, s.reason);
    } catch (const Interrupted&) {
      save();
      throw;
    } catch (const std::exception& e) {
      written = failed_bar(bar, first_line(e.what()), wall_seconds() - t0);
    }
    peak_ = std::max(peak_, static_cast<double>(peak_since_reset()) / 1e6);
    std::string word = "skipped";
    if (written.at("status") != "skipped") {
      word = written.at("pass") == json(true) ? "pass" : "FAIL";
    }
    const std::string note = written.at("note");
    context_.log(name_of(bar) + ": " + word + (note.empty() ? "" : " (" + note + ")"));
  }

  void save() {
    document_["wall_s"] = before_wall_ + wall_seconds() - wall0_;
    document_["cpu_s"] = before_cpu_ + cpu_seconds() - cpu0_;
    document_["peak_mb"] = std::max(document_["peak_mb"].get<double>(), peak_);
    const auto merge = [&](const char* key, const char* name, const json& item) {
      for (json& old : document_[key]) {
        if (old.at(name) == item.at(name)) {
          old = item;
          return;
        }
      }
      document_[key].push_back(item);
    };
    for (const json& d : context_.data_) merge("data", "name", d);
    for (const Table& t : context_.tables_) {
      merge("tables", "name", {{"name", t.name}, {"columns", t.columns}, {"rows", t.rows}});
    }
    for (const std::string& plot : context_.plots_) {
      json& plots = document_["plots"];
      if (std::find(plots.begin(), plots.end(), json(plot)) == plots.end()) plots.push_back(plot);
    }
    if (!options_.output.empty()) {
      json& plots = document_["plots"];
      if (std::find(plots.begin(), plots.end(), json("report.html")) == plots.end()) {
        plots.push_back("report.html");
      }
    }
    settle_document(document_);
    const std::string text = document_.dump(1) + "\n";
    if (!options_.json_file.empty()) write_file(options_.json_file, text);
    if (!options_.output.empty()) {
      write_file(document_in_folder(), text);
      write_file(fs::path(options_.output) / "report.html", document_html(document_));
    }
  }

  const Study& study_;
  const StudyOptions options_;
  StudyContext context_;
  std::vector<bool> chosen_;
  json document_;
  double wall0_ = wall_seconds(), cpu0_ = cpu_seconds(), before_wall_ = 0, before_cpu_ = 0,
         peak_ = 0;
};

bool register_study(Study study) {
  std::set<std::string> names;
  for (const Bar& bar : study.bars) {
    if (!names.insert(name_of(bar)).second) {
      throw Error(ExitCode::kFailed, "bar " + name_of(bar) + " is there twice", study.slug);
    }
  }
  const std::string slug = study.slug;
  if (!registry().emplace(slug, std::move(study)).second) {
    throw Error(ExitCode::kFailed, "registered twice", slug);
  }
  return true;
}

const Study* find_study(const std::string& slug) {
  const auto it = registry().find(slug);
  return it == registry().end() ? nullptr : &it->second;
}

json run_study(const Study& study, const StudyOptions& options) {
  return StudyRun(study, options).run();
}

int study_main(const StudyOptions& options, std::ostream& out) {
  options.validate();
  if (options.list) {
    const json rows = list_json(options);
    if (options.json_stdout)
      out << rows.dump(1) << "\n";
    else
      print_list(rows, out);
    return 0;
  }
  if (options.table) {
    std::vector<json> documents;
    for (const auto& [slug, d] : published(results_folder(options))) documents.push_back(d);
    out << documents_markdown(documents);
    return 0;
  }
  if (!options.check.empty()) {
    const auto faults = document_faults(read_document(options.check));
    for (const auto& f : faults) out << options.check << ": " << f << "\n";
    if (faults.empty()) out << options.check << ": sound\n";
    return faults.empty() ? 0 : static_cast<int>(ExitCode::kClaim);
  }
  if (options.all) {
    if (!options.json_file.empty()) {
      throw Error(ExitCode::kUsage, "one file cannot hold every study", "json", "give -o DIR");
    }
    int code = 0;
    json documents = json::array();
    for (const auto& [slug, study] : registry()) {
      if (!state_of(slug).ready()) continue;
      StudyOptions one = options;
      if (!one.output.empty()) one.output = (fs::path(one.output) / slug).string();
      const json d = run_study(study, one);
      if (options.json_stdout)
        documents.push_back(d);
      else
        out << document_text(d);
      if (d.at("verdict") != "pass") code = static_cast<int>(ExitCode::kClaim);
    }
    if (options.json_stdout) out << documents.dump(1) << "\n";
    return code;
  }
  const json d = run_study(wanted_study(options.slug), options);
  if (options.json_stdout)
    out << d.dump(1) << "\n";
  else
    out << document_text(d);
  return d.at("verdict") == "pass" ? 0 : static_cast<int>(ExitCode::kClaim);
}

}  // namespace covary::eval
