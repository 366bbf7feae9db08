#include "covary/core/base/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "covary/core/base/error.h"

namespace covary {
namespace {

using Target = OptionField::Target;
using nlohmann::json;

constexpr size_t kMaxListItems = 1'000'000;
constexpr size_t kHelpWidth = 100, kHelpColumn = 30;

std::string snake(std::string_view text) {
  std::string out(text);
  std::replace(out.begin(), out.end(), '-', '_');
  return out;
}

std::string kebab(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c == '_' || c == '.') c = '-';
  return out;
}

std::string_view last_word(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

std::string joined(const std::vector<std::string>& words, const char* separator) {
  std::string out;
  for (const std::string& w : words) out += (out.empty() ? "" : separator) + w;
  return out;
}

std::vector<std::string> parted(std::string_view text, char separator) {
  std::vector<std::string> out;
  if (text.empty()) return out;
  for (size_t begin = 0;;) {
    const size_t at = text.find(separator, begin);
    out.emplace_back(text.substr(begin, at == std::string_view::npos ? at : at - begin));
    if (at == std::string_view::npos) return out;
    begin = at + 1;
  }
}

json value_of(const Target& target) {
  return std::visit(
      [](auto* p) -> json {
        if constexpr (std::is_same_v<decltype(p), std::optional<double>*>) {
          return p->has_value() ? json(**p) : json(nullptr);
        } else {
          return *p;
        }
      },
      target);
}

// A number as people write it: at most 12 digits, no trailing zeros.
std::string number_text(double x) {
  char buffer[40];
  std::snprintf(buffer, sizeof(buffer), "%.12g", x);
  return buffer;
}

std::string shown(const json& value) {
  if (value.is_null()) return "none";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return number_text(value.get<double>());
  if (value.is_array()) {
    std::vector<std::string> words;
    for (const json& v : value) words.push_back(shown(v));
    return joined(words, ",");
  }
  return value.dump();
}

// Where a value came from, as an error names it: the flag itself, or the file or preset and the
// path in it.
std::string place(const std::string& source, const std::string& path) {
  if (source.empty()) return path;
  if (source == "--set") return "--set " + path;
  if (source[0] == '-') return source;
  return source + ": " + path;
}

std::optional<double> parse_plain(std::string_view text) {
  if (!text.empty() && text[0] == '+') text.remove_prefix(1);
  double x = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), x);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(x)) return {};
  return x;
}

// A number with one of the endings given, each worth a factor.
std::optional<double> parse_scaled(
    std::string_view text, const std::vector<std::pair<std::string_view, double>>& endings) {
  for (const auto& [ending, factor] : endings) {
    if (text.size() <= ending.size() || text.substr(text.size() - ending.size()) != ending)
      continue;
    const auto x = parse_plain(text.substr(0, text.size() - ending.size()));
    if (x) return *x * factor;
  }
  return parse_plain(text);
}

std::optional<double> parse_size(std::string_view text) {
  return parse_scaled(text, {{"KiB", 0x1p10},
                             {"MiB", 0x1p20},
                             {"GiB", 0x1p30},
                             {"TiB", 0x1p40},
                             {"KB", 0x1p10},
                             {"MB", 0x1p20},
                             {"GB", 0x1p30},
                             {"TB", 0x1p40},
                             {"K", 0x1p10},
                             {"M", 0x1p20},
                             {"G", 0x1p30},
                             {"T", 0x1p40},
                             {"k", 0x1p10},
                             {"m", 0x1p20},
                             {"g", 0x1p30},
                             {"B", 1}});
}

std::optional<double> parse_duration(std::string_view text) {
  return parse_scaled(text,
                      {{"ms", 1e-3}, {"min", 60}, {"m", 60}, {"h", 3600}, {"d", 86400}, {"s", 1}});
}

std::optional<bool> parse_bool(const std::string& text) {
  for (const char* word : {"true", "yes", "on", "1"})
    if (text == word) return true;
  for (const char* word : {"false", "no", "off", "0"})
    if (text == word) return false;
  return {};
}

// a, a:b or a:b:step with the ends included; nothing when it is none of these.
std::optional<std::vector<double>> parse_range(const std::string& text) {
  std::vector<double> numbers;
  for (const std::string& part : parted(text, ':')) {
    const auto x = parse_plain(part);
    if (!x) return {};
    numbers.push_back(*x);
  }
  if (numbers.size() == 1) return numbers;
  if (numbers.size() < 2 || numbers.size() > 3) return {};
  const double low = numbers[0], high = numbers[1], step = numbers.size() == 3 ? numbers[2] : 1;
  if (!(step > 0) || high < low) return {};
  const double count = std::floor((high - low) / step * (1 + 1e-12)) + 1;
  if (!(count <= static_cast<double>(kMaxListItems))) return {};
  std::vector<double> out;
  for (int64_t i = 0; i < static_cast<int64_t>(count); ++i)
    out.push_back(low + static_cast<double>(i) * step);
  return out;
}

// Optimal string alignment: insertions, deletions, changes and swaps of neighbours cost 1.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i)
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min(
          {d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

std::string type_word(const Target& target) {
  if (std::holds_alternative<bool*>(target)) return "true or false";
  if (std::holds_alternative<int64_t*>(target)) return "a whole number";
  if (std::holds_alternative<double*>(target)) return "a number";
  if (std::holds_alternative<std::optional<double>*>(target)) return "a number or none";
  if (std::holds_alternative<std::vector<double>*>(target))
    return "numbers a,b,c or a range a:b:step";
  return "text";
}

}  // namespace

std::string nearest_word(std::string_view word, const std::vector<std::string>& words) {
  std::string best;
  size_t best_distance = 4;  // more than 3 is another word
  for (const std::string& w : words) {
    const size_t distance = edit_distance(word.substr(0, 64), std::string_view(w).substr(0, 64));
    if (distance < best_distance &&
        distance * 3 <= std::max<size_t>(std::max(word.size(), w.size()), 3)) {
      best = w;
      best_distance = distance;
    }
  }
  return best;
}

OptionField& OptionField::range(double low, double high) {
  low_ = low;
  high_ = high;
  return *this;
}
OptionField& OptionField::choices(std::vector<std::string> words) {
  choices_ = std::move(words);
  return *this;
}
OptionField& OptionField::suggestions(std::vector<std::string> words) {
  suggestions_ = std::move(words);
  return *this;
}
OptionField& OptionField::bare(std::string value) {
  bare_ = std::move(value);
  return *this;
}
OptionField& OptionField::unit(std::string unit) {
  unit_ = std::move(unit);
  return *this;
}
OptionField& OptionField::synonym(const std::string& flag) {
  synonyms_.push_back(snake(flag));
  return *this;
}
OptionField& OptionField::common() {
  common_ = true;
  return *this;
}
OptionField& OptionField::hidden() {
  hidden_ = true;
  return *this;
}
OptionField& OptionField::size() {
  kind_ = Kind::kSize;
  if (unit_.empty()) unit_ = "bytes";
  return *this;
}
OptionField& OptionField::duration() {
  kind_ = Kind::kDuration;
  if (unit_.empty()) unit_ = "s";
  return *this;
}

OptionField& OptionField::shape(std::string text) {
  shape_ = std::move(text);
  return *this;
}

OptionList::Group& OptionList::Group::only_when(const std::string& path, const std::string& value) {
  for (size_t i = begin_; i < end_; ++i)
    list_.fields_[i].when_.emplace_back(list_.prefix_ + path, value);
  return *this;
}

OptionField& OptionList::add(const std::string& name, Target target, const std::string& help) {
  OptionField field;
  field.path_ = prefix_ + name;
  field.help_ = help;
  field.target_ = target;
  field.default_ = value_of(target);
  for (const OptionField& other : fields_)
    if (other.path_ == field.path_)
      throw Error(ExitCode::kFailed, "declared twice", field.path_,
                  "two options of one list share this path");
  fields_.push_back(std::move(field));
  return fields_.back();
}

OptionField& OptionList::add_step(const std::string& name, std::vector<std::string>* steps,
                                  const std::string& help) {
  OptionField& field = add(name, steps, help);
  field.step_ = true;
  return field;
}

size_t OptionList::count_last_word(std::string_view word) const {
  return static_cast<size_t>(
      std::count_if(fields_.begin(), fields_.end(),
                    [&](const OptionField& f) { return last_word(f.path_) == word; }));
}

size_t OptionList::index_of(const std::string& path, const std::string& source) const {
  const std::string name = snake(path);
  std::vector<std::string> paths, near;
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (fields_[i].path_ == name) return i;
    if (last_word(fields_[i].path_) == name) near.push_back(fields_[i].path_);
    paths.push_back(fields_[i].path_);
  }
  if (near.size() == 1)
    for (size_t i = 0; i < fields_.size(); ++i)
      if (fields_[i].path_ == near[0]) return i;
  if (near.size() > 1)
    throw Error(ExitCode::kUsage, "this name is not unique", place(source, path),
                "write one of " + joined(near, ", "));
  for (size_t i = 0; i < fields_.size(); ++i)
    for (const std::string& s : fields_[i].synonyms_)
      if (s == name) return i;
  std::string best = nearest_word(name, paths);
  if (best.empty()) {
    std::vector<std::string> words;
    for (const std::string& p : paths) words.emplace_back(last_word(p));
    const std::string word = nearest_word(last_word(name), words);
    for (size_t i = 0; i < paths.size() && best.empty(); ++i)
      if (words[i] == word) best = paths[i];
  }
  throw Error(ExitCode::kUsage, "there is no such option", place(source, path),
              best.empty() ? "--help=all lists every option" : "did you mean " + best + "?");
}

void OptionList::assign(size_t index, const json& value, const std::string& source, bool bulk) {
  OptionField& field = fields_[index];
  const std::string where = place(source, field.path_);
  const auto refuse = [&](const std::string& what, const std::string& hint) {
    throw Error(ExitCode::kUsage, what, where, hint);
  };
  const auto expected = [&]() {
    refuse("expected " + type_word(field.target_) + ", got '" + shown(value) + "'",
           field.kind_ == OptionField::Kind::kSize ? "write a size as 4G, 500M or a number of bytes"
           : field.kind_ == OptionField::Kind::kDuration
               ? "write a time as 90s, 5min, 1h or a number of seconds"
               : field.help_);
  };
  const auto number = [&](const json& v) -> double {
    std::optional<double> x;
    if (v.is_number()) {
      x = v.get<double>();
    } else if (v.is_string()) {
      const std::string& text = v.get_ref<const std::string&>();
      x = field.kind_ == OptionField::Kind::kSize       ? parse_size(text)
          : field.kind_ == OptionField::Kind::kDuration ? parse_duration(text)
                                                        : parse_plain(text);
    }
    if (!x || !std::isfinite(*x)) expected();
    if (*x < field.low_ || *x > field.high_) {
      const std::string unit = field.unit_.empty() ? "" : " " + field.unit_;
      const std::string bounds =
          std::isinf(field.high_) ? "at least " + number_text(field.low_) + unit
          : std::isinf(field.low_)
              ? "at most " + number_text(field.high_) + unit
              : "between " + number_text(field.low_) + " and " + number_text(field.high_) + unit;
      refuse(shown(v) + " is out of range", "it must be " + bounds);
    }
    return *x;
  };
  const auto word = [&](const json& v) -> std::string {
    if (!v.is_string()) expected();
    const std::string text = v.get<std::string>();
    if (!field.choices_.empty() &&
        std::find(field.choices_.begin(), field.choices_.end(), text) == field.choices_.end()) {
      const std::string near = nearest_word(text, field.choices_);
      refuse("'" + text + "' is none of the choices",
             (near.empty() ? "" : "did you mean " + near + "? ") + "the choices are " +
                 joined(field.choices_, ", "));
    }
    return text;
  };
  const auto items = [&](const json& v) -> json {  // a list from an array, "a,b,c" or one value
    if (v.is_array()) return v;
    json out = json::array();
    if (v.is_string())
      for (const std::string& part : parted(v.get<std::string>(), ',')) out.push_back(part);
    else
      out.push_back(v);
    return out;
  };

  if (field.step_) {
    if (bulk || !value.is_string())
      refuse("is a step, and steps have an order",
             "write them as a list: {\"operations\": [\"translate=0,1,0\", \"sort\"]}");
    const std::string text = word(value);
    std::get<std::vector<std::string>*>(field.target_)
        ->push_back(std::string(last_word(field.path_)) + (text.empty() ? "" : "=" + text));
    set_.push_back({index, source, bulk});
    return;
  }

  struct Visitor {
    const json& value;
    const decltype(number)& number_;
    const decltype(word)& word_;
    const decltype(items)& items_;
    const decltype(expected)& expected_;

    void operator()(bool* p) const {
      if (value.is_boolean()) {
        *p = value.get<bool>();
        return;
      }
      const auto b = value.is_string() ? parse_bool(value.get<std::string>()) : std::nullopt;
      if (!b) return expected_();
      *p = *b;
    }
    void operator()(int64_t* p) const {
      const double x = number_(value);
      if (x != std::floor(x) || std::abs(x) > 0x1p53) expected_();
      *p = static_cast<int64_t>(x);
    }
    void operator()(double* p) const { *p = number_(value); }
    void operator()(std::optional<double>* p) const {
      if (value.is_null() || value == "none" || value == "off")
        p->reset();
      else
        *p = number_(value);
    }
    void operator()(std::string* p) const { *p = word_(value); }
    void operator()(std::vector<double>* p) const {
      std::vector<double> out;
      for (const json& v : items_(value)) {
        if (v.is_string() && v.get_ref<const std::string&>().find(':') != std::string::npos) {
          const auto range = parse_range(v.get<std::string>());
          if (!range) return expected_();
          for (const double x : *range) out.push_back(number_(json(x)));
        } else {
          out.push_back(number_(v));
        }
      }
      *p = std::move(out);
    }
    void operator()(std::vector<std::string>* p) const {
      std::vector<std::string> out;
      for (const json& v : items_(value)) out.push_back(word_(v));
      *p = std::move(out);
    }
  };
  std::visit(Visitor{value, number, word, items, expected}, field.target_);
  set_.push_back({index, source, bulk});
}

void OptionList::set(const std::string& path, const std::string& text, const std::string& source) {
  assign(index_of(path, source), json(text), source, false);
}

void OptionList::set(const std::string& path, const json& value, const std::string& source) {
  assign(index_of(path, source), value, source, false);
}

void OptionList::apply(const json& object, const std::string& source) { apply(object, source, ""); }

void OptionList::apply(const json& object, const std::string& source, const std::string& prefix) {
  if (!object.is_object())
    throw Error(ExitCode::kUsage,
                "expected an object of options, got " + std::string(object.type_name()),
                place(source, prefix.empty() ? "options" : prefix),
                R"(write {"steps": 500, "loss": {"ssim_weight": 0.2}})");
  for (const auto& [key, value] : object.items()) {
    const std::string path = prefix.empty() ? key : prefix + "." + key;
    if (value.is_object()) {
      apply(value, source, path);
      continue;
    }
    const size_t index = index_of(path, source);
    if (value.is_null() && !std::holds_alternative<std::optional<double>*>(fields_[index].target_))
      continue;
    assign(index, value, source, true);
  }
}

bool OptionList::active(const OptionField& field) const {
  return std::all_of(field.when_.begin(), field.when_.end(), [&](const auto& when) {
    const auto choice = std::find_if(fields_.begin(), fields_.end(),
                                     [&](const auto& f) { return f.path_ == when.first; });
    if (choice == fields_.end())
      throw Error(ExitCode::kFailed, "depends on an option that is not declared", field.path_,
                  when.first);
    const std::vector<std::string> values = parted(when.second, '|');
    return std::find(values.begin(), values.end(), shown(value_of(choice->target_))) !=
           values.end();
  });
}

void OptionList::finish() const {
  for (size_t i = 0; i < set_.size(); ++i) {
    const OptionField& field = fields_[set_[i].field];
    if (active(field)) continue;
    const auto unmet = std::find_if(field.when_.begin(), field.when_.end(), [&](const auto& when) {
      OptionField alone = field;
      alone.when_ = {when};
      return !active(alone);
    });
    const auto& [choice, values] = *unmet;
    const bool changed_later = std::any_of(
        set_.begin() + static_cast<std::ptrdiff_t>(i) + 1, set_.end(), [&](const Setting& s) {
          return std::any_of(field.when_.begin(), field.when_.end(),
                             [&](auto& w) { return w.first == fields_[s.field].path_; });
        });
    if (set_[i].bulk && changed_later) continue;
    const auto chosen = std::find_if(fields_.begin(), fields_.end(),
                                     [&](const auto& f) { return f.path_ == choice; });
    const std::string flag = flag_of(*chosen);
    throw Error(ExitCode::kUsage,
                "has no meaning with " + flag + " " + shown(value_of(chosen->target_)),
                place(set_[i].source, field.path_),
                "add " + flag + " " + parted(values, '|').front() + ", or leave this option out");
  }
}

json OptionList::to_json() const {
  json out = json::object();
  for (const OptionField& field : fields_) {
    if (!active(field) || field.step_) continue;
    json* at = &out;
    for (const std::string& part : parted(field.path_, '.')) at = &(*at)[part];
    *at = value_of(field.target_);
  }
  return out;
}

json OptionList::schema() const {
  json out = {{"type", "object"}, {"additionalProperties", false}, {"properties", json::object()}};
  for (const OptionField& field : fields_) {
    json* at = &out;
    const std::vector<std::string> parts = parted(field.path_, '.');
    for (size_t i = 0; i < parts.size(); ++i) {
      at = &(*at)["properties"][parts[i]];
      if (i + 1 < parts.size() && at->is_null())
        *at = {{"type", "object"}, {"additionalProperties", false}, {"properties", json::object()}};
    }
    json& j = *at;
    json item = json::object();  // what a value, or each item of a list, must be
    if (std::isfinite(field.low_)) item["minimum"] = field.low_;
    if (std::isfinite(field.high_)) item["maximum"] = field.high_;
    if (!field.choices_.empty()) item["enum"] = field.choices_;
    const Target& t = field.target_;
    if (std::holds_alternative<bool*>(t)) item["type"] = "boolean";
    if (std::holds_alternative<int64_t*>(t)) item["type"] = "integer";
    if (std::holds_alternative<double*>(t) || std::holds_alternative<std::vector<double>*>(t))
      item["type"] = "number";
    if (std::holds_alternative<std::string*>(t) ||
        std::holds_alternative<std::vector<std::string>*>(t))
      item["type"] = "string";
    if (std::holds_alternative<std::optional<double>*>(t)) item["type"] = {"number", "null"};
    if (field.step_) {
      j = {{"description", field.help_}, {"step", true}, {"flag", flag_of(field)}};
      continue;
    }
    const bool list = std::holds_alternative<std::vector<double>*>(t) ||
                      std::holds_alternative<std::vector<std::string>*>(t);
    j = list ? json{{"type", "array"}, {"items", item}} : item;
    j["description"] = field.help_;
    j["default"] = field.default_;
    if (!field.unit_.empty()) j["unit"] = field.unit_;
    if (!field.suggestions_.empty()) j["examples"] = field.suggestions_;
    if (field.bare_) j["bare"] = *field.bare_;
    if (!field.hidden_) j["flag"] = flag_of(field);
    if (!field.synonyms_.empty()) {
      j["synonyms"] = json::array();
      for (const std::string& s : field.synonyms_)
        j["synonyms"].push_back((s.size() == 1 ? "-" : "--") + kebab(s));
    }
    for (const auto& [path, value] : field.when_) j["only_when"][path] = value;
  }
  return out;
}

std::string OptionList::help(bool all) const {
  std::string out, heading;
  for (const OptionField& field : fields_) {
    if (field.hidden_ || (!all && !field.common_)) continue;
    const size_t dot = field.path_.rfind('.');
    const std::string group = dot == std::string::npos ? "" : field.path_.substr(0, dot);
    if (all && group != heading) {
      heading = group;
      out += group;
      for (const auto& [path, value] : field.when_) {
        const auto choice = std::find_if(fields_.begin(), fields_.end(),
                                         [&](const auto& f) { return f.path_ == path; });
        out += " (with " + flag_of(*choice) + " " + value + ")";
      }
      out += ":\n";
    }
    const bool flag_only = std::holds_alternative<bool*>(field.target_);
    const bool on = flag_only && field.default_ == true;
    std::string left = "  " + flag_of(field);
    if (on) left = "  --no-" + left.substr(4);
    const std::vector<std::string>& words =
        field.choices_.empty() ? field.suggestions_ : field.choices_;
    std::string value;
    if (!field.shape_.empty())
      value = field.shape_;
    else if (!words.empty())
      value = joined(words, "|");
    else if (field.kind_ == OptionField::Kind::kSize)
      value = "4G";
    else if (field.kind_ == OptionField::Kind::kDuration)
      value = "5min";
    else if (std::holds_alternative<std::string*>(field.target_))
      value = "TEXT";
    else if (std::holds_alternative<int64_t*>(field.target_))
      value = "N";
    else if (std::holds_alternative<std::vector<double>*>(field.target_) ||
             std::holds_alternative<std::vector<std::string>*>(field.target_))
      value = "A,B,...";
    else
      value = "X";
    // A step that is bare takes nothing at all.
    if (!flag_only && !(field.step_ && field.bare_))
      left += field.bare_ ? " [" + value + "]" : " " + value;

    std::string right = on ? "turn off: " + field.help_ : field.help_;
    const std::string initial = field.step_ ? "" : shown(field.default_);
    const bool has_unit = !field.unit_.empty() && field.unit_ != "1";
    if (!flag_only && !initial.empty())
      right +=
          " [" + initial + (has_unit && !field.default_.is_null() ? " " + field.unit_ : "") + "]";
    else if (!flag_only && has_unit)
      right += " [" + field.unit_ + "]";

    // The right column, wrapped at words; a long left side has a line of its own.
    std::string line = left;
    if (line.size() + 1 > kHelpColumn) {
      out += line + "\n";
      line.clear();
    }
    line.resize(kHelpColumn, ' ');
    for (const std::string& w : parted(right, ' ')) {
      if (line.size() + 1 + w.size() > kHelpWidth && line.size() > kHelpColumn) {
        out += line + "\n";
        line.assign(kHelpColumn, ' ');
      }
      line += (line.size() > kHelpColumn ? " " : "") + w;
    }
    out += line + "\n";
  }
  return out;
}

std::string OptionList::flag_of(const OptionField& field) const {
  const std::string_view last = last_word(field.path_);
  return "--" + kebab(count_last_word(last) == 1 ? last : std::string_view(field.path_));
}

const OptionField* OptionList::find_flag(std::string_view flag, bool* negated) const {
  if (negated) *negated = false;
  const std::string name = snake(flag);
  const auto find = [&](const std::string& n) -> const OptionField* {
    for (const OptionField& f : fields_)  // "--steps", "--loss.ssim_weight", "--loss-ssim-weight"
      if (f.path_ == n || snake(kebab(f.path_)) == n) return &f;
    if (count_last_word(n) == 1)
      for (const OptionField& f : fields_)
        if (last_word(f.path_) == n) return &f;
    for (const OptionField& f : fields_)
      if (std::find(f.synonyms_.begin(), f.synonyms_.end(), n) != f.synonyms_.end()) return &f;
    return nullptr;
  };
  if (const OptionField* f = find(name)) return f;
  if (name.rfind("no_", 0) == 0) {
    const OptionField* f = find(name.substr(3));
    if (f && std::holds_alternative<bool*>(f->target_)) {
      if (negated) *negated = true;
      return f;
    }
  }
  return nullptr;
}

std::string OptionList::nearest_flag(std::string_view flag) const {
  std::vector<std::string> words;
  for (const OptionField& f : fields_) {
    if (f.hidden_) continue;
    words.push_back(flag_of(f).substr(2));
    if (std::holds_alternative<bool*>(f.target_)) words.push_back("no-" + words.back());
  }
  const std::string best = nearest_word(kebab(flag), words);
  return best.empty() ? "" : "--" + best;
}

bool OptionList::takes_value(const OptionField& field, const std::string* next) const {
  if (std::holds_alternative<bool*>(field.target_)) return false;
  if (!field.bare_) return true;
  return next &&
         std::find(field.choices_.begin(), field.choices_.end(), *next) != field.choices_.end();
}

void OptionList::hide(std::string_view path) {
  for (OptionField& f : fields_)
    if (f.path_ == path) f.hidden_ = true;
}

bool OptionList::was_set(std::string_view path) const {
  return std::any_of(set_.begin(), set_.end(),
                     [&](const Setting& s) { return fields_[s.field].path_ == path; });
}

}  // namespace covary
