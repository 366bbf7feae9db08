#include "covary/cli/help.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "covary/cli/common_options.h"
#include "covary/cli/presets.h"
#include "covary/core/base/machine.h"

namespace covary::cli {
namespace {

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size() + 1, width), ' ');
  return text;
}

// The common options that the verb takes: the others are hidden.
class CommonList {
 public:
  explicit CommonList(const Verb& verb) {
    for (const OptionField& f : all_.fields())
      if (!takes_common(verb, f.path())) all_.hide(f.path());
  }
  const OptionList& list() const { return all_; }

 private:
  CommonOptions options_;
  OptionList all_{options_};
};

}  // namespace

std::string overview() {
  std::string out = "Covary " + std::string(version()) +
                    ": one engine for everything Gaussian\n\n"
                    "usage: covary VERB INPUT... [-o OUTPUT] [--option value]...\n";
  std::string group;
  for (const Verb& v : verbs()) {
    if (v.group != group) out += "\n" + v.group + "\n";
    group = v.group;
    out += "  " + padded(v.name, 8) + padded(v.shape, 25) + v.summary + "\n";
  }
  out +=
      "\nbegin\n"
      "  covary train sample:studio -o out/studio     a built-in capture, no data needed\n"
      "  covary train PHOTOS -o out/scene             COLMAP folder, transforms.json or "
      "NeRF-synthetic\n"
      "  covary render out/scene --path spline -o scene.mp4\n"
      "\nmore\n"
      "  covary VERB --help     its common options; --help=all every option; --help=json the "
      "schema\n"
      "  covary VERB --list     every value of every choice\n"
      "  covary info            this build and machine; covary --version\n";
  return out;
}

std::string overview_json() {
  nlohmann::json j = {{"version", version()}, {"verbs", nlohmann::json::array()}};
  for (const Verb& v : verbs())
    j["verbs"].push_back(
        {{"name", v.name}, {"group", v.group}, {"summary", v.summary}, {"shape", v.shape}});
  return j.dump(2) + "\n";
}

std::string verb_help(const Verb& verb, bool all) {
  if (!verb.actions.empty()) {
    std::string out = "usage: covary " + verb.name + " ACTION INPUT... [--option value]...\n\n" +
                      verb.summary + "\n\nactions\n";
    for (const Verb& a : verb.actions)
      out += "  " + padded(a.action(), 10) + padded(a.shape, 25) + a.summary + "\n";
    return out + "\ncovary " + verb.name +
           " ACTION --help shows the options of one.\nfor example: " + verb.actions[0].example +
           "\n";
  }
  const auto options = verb.make();
  const CommonList common(verb);
  std::string out = "usage: covary " + verb.name + " " + verb.shape + " [--option value]...\n\n" +
                    verb.summary + "\nfor example: " + verb.example + "\n";
  const std::string own = options->list().help(all);
  if (!own.empty()) out += "\noptions\n" + own;
  std::string names;
  for (const Preset& p : presets())
    if (p.verb == verb.name) names += "  --preset " + padded(p.name, 21) + p.help + "\n";
  if (!names.empty()) out += "\npresets (or a FILE.json; options after it win)\n" + names;
  out += "\non every verb\n" + common.list().help(all);
  out +=
      "  --config FILE               options from a JSON file, such as a run's config.json\n"
      "  --set key=value             any field, also without a flag of its own: --set "
      "loss.ssim_weight=0.3\n"
      "  --json[=FILE]               result document on stdout, or to a file\n";
  if (verb.sweeps)
    out += "  --sweep key=A,B,...         a run for each value; several sweeps make a grid\n";
  if (!all) out += "\n--help=all shows every option, --help=json the schema, --list all choices.\n";
  return out;
}

std::string verb_schema(const Verb& verb) {
  if (!verb.actions.empty()) {
    nlohmann::json j = {{"verb", verb.name}, {"summary", verb.summary}};
    for (const Verb& a : verb.actions)
      j["actions"].push_back(nlohmann::json::parse(verb_schema(a)));
    return j.dump(2) + "\n";
  }
  const auto options = verb.make();
  const CommonList common(verb);
  nlohmann::json j = {{"verb", verb.name},
                      {"summary", verb.summary},
                      {"shape", verb.shape},
                      {"options", options->list().schema()},
                      {"common", common.list().schema()},
                      {"presets", nlohmann::json::object()}};
  for (const Preset& p : presets())
    if (p.verb == verb.name) j["presets"][p.name] = {{"help", p.help}, {"options", p.options}};
  return j.dump(2) + "\n";
}

std::string verb_choices(const Verb& verb) {
  if (!verb.actions.empty()) {
    std::string out;
    for (const Verb& a : verb.actions) out += a.name + "\n";
    return out;
  }
  const auto options = verb.make();
  std::string out;
  for (const OptionField& f : options->list().fields())
    for (const std::string& word : f.choices_of())
      out += options->list().flag_of(f) + " " + word +
             (f.default_value() == word ? "  (default)" : "") + "\n";
  for (const Preset& p : presets())
    if (p.verb == verb.name) out += "--preset " + padded(p.name, 10) + p.help + "\n";
  return out;
}

std::string version_text() { return "covary " + std::string(version()) + "\n"; }

}  // namespace covary::cli
