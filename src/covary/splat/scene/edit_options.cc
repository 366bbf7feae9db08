#include "covary/splat/scene/edit_options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "covary/core/base/error.h"
#include "covary/core/base/expression.h"

namespace covary::scene {
namespace {

std::string flag_of(const std::string& name) {
  std::string flag = "--" + name;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

const EditKind* find_kind(const std::string& name) {
  for (const EditKind& k : edit_kinds())
    if (k.name == name) return &k;
  return nullptr;
}

[[noreturn]] void refuse(const EditStep& s, const std::string& what, const std::string& hint = "") {
  const EditKind* kind = find_kind(s.name);
  throw Error(ExitCode::kUsage, what, flag_of(s.name),
              !hint.empty() ? hint
              : kind        ? "write " + flag_of(s.name) + " " + kind->shape
                            : "");
}

std::vector<std::string> parted(const std::string& text, char separator) {
  std::vector<std::string> out;
  if (text.empty()) return out;
  for (size_t begin = 0;;) {
    const size_t at = text.find(separator, begin);
    out.push_back(text.substr(begin, at == std::string::npos ? at : at - begin));
    if (at == std::string::npos) return out;
    begin = at + 1;
  }
}

std::optional<double> parse_number(const std::string& text) {
  const size_t skip = !text.empty() && text[0] == '+' ? 1 : 0;
  double x = 0;
  const auto read = std::from_chars(text.data() + skip, text.data() + text.size(), x);
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size() ||
      std::isnan(x))
    return {};
  return x;
}

// --- checks ------------------------------------------------------------------------------------

void count(const EditStep& s, size_t least, size_t most) {
  if (s.values.size() >= least && s.values.size() <= most) return;
  refuse(s, "expects " + std::to_string(least) +
                (most > least ? " to " + std::to_string(most) : std::string()) +
                (most == 1 ? " value" : " values") + ", got " + std::to_string(s.values.size()));
}

double number_of(const EditStep& s, const std::string& text, const std::string& what,
                 double low = -std::numeric_limits<double>::max(),
                 double high = std::numeric_limits<double>::max()) {
  const auto x = parse_number(text);
  if (!x) refuse(s, what + "expected a number, got '" + text + "'");
  if (!(*x >= low && *x <= high)) {
    char bounds[80];
    std::snprintf(bounds, sizeof(bounds), "it must be between %.6g and %.6g", low, high);
    refuse(s, what + text + " is out of range",
           high >= 1e300 && low <= -1e300 ? "it must be finite" : bounds);
  }
  return *x;
}

void numbers(const EditStep& s, size_t n) {
  count(s, n, n);
  for (const std::string& v : s.values) number_of(s, v, "");
}

void parameter_number(const EditStep& s, const char* key, double low, double high) {
  if (s.has(key)) number_of(s, s.parameters.at(key), std::string(key) + ": ", low, high);
}

void parameter_colour(const EditStep& s, const char* key, double low, double high) {
  if (!s.has(key)) return;
  const std::vector<std::string> parts = parted(s.parameters.at(key), ':');
  if (parts.size() != 3)
    refuse(s, std::string(key) + ": expected three numbers",
           "write " + std::string(key) + "=1:0.9:0.8");
  for (const std::string& p : parts) number_of(s, p, std::string(key) + ": ", low, high);
}

void parameter_word(const EditStep& s, const char* key, const std::vector<std::string>& words) {
  if (!s.has(key) || std::find(words.begin(), words.end(), s.parameters.at(key)) != words.end())
    return;
  std::string all;
  for (const std::string& w : words) all += (all.empty() ? "" : ", ") + w;
  const std::string near = nearest_word(s.parameters.at(key), words);
  refuse(s, std::string(key) + ": '" + s.parameters.at(key) + "' is none of the choices",
         (near.empty() ? std::string() : "did you mean " + near + "? ") + "the choices are " + all);
}

void about(const EditStep& s) {
  if (!s.has("about") || s.parameters.at("about") == "centre" ||
      s.parameters.at("about") == "center")
    return;
  parameter_colour(s, "about", -std::numeric_limits<double>::max(),
                   std::numeric_limits<double>::max());
}

void keep(const EditStep& s) { parameter_word(s, "keep", {"inside", "outside"}); }

void check_none(EditStep& s) { count(s, 0, 0); }
void check_three(EditStep& s) {
  numbers(s, 3);
  about(s);
}
void check_scale(EditStep& s) {
  count(s, 1, 1);
  number_of(s, s.values[0], "", 1e-12, 1e12);
  about(s);
}
void check_matrix(EditStep& s) {
  if (s.values.size() != 12) count(s, 16, 16);
  for (const std::string& v : s.values) number_of(s, v, "");
}
void check_upright(EditStep& s) {
  if (s.values.size() == 1 && (s.values[0] == "ground" || s.values[0] == "cameras")) return;
  if (s.values.size() == 1)
    refuse(s, "'" + s.values[0] + "' is none of the choices",
           "write ground, cameras, or three numbers that point up");
  numbers(s, 3);
  if (s.number(0) == 0 && s.number(1) == 0 && s.number(2) == 0) refuse(s, "points nowhere");
}
void check_align(EditStep& s) {
  count(s, 1, 1);
  parameter_word(s, "scale", {"yes", "no"});
  parameter_number(s, "overlap", 0.05, 1);
}
void check_box(EditStep& s) {
  count(s, 6, 6);
  // '-' is an open side.
  for (size_t i = 0; i < 6; ++i) {
    if (s.values[i] == "-" || s.values[i].empty()) s.values[i] = i < 3 ? "-inf" : "inf";
    if (!parse_number(s.values[i])) number_of(s, s.values[i], "");
  }
  for (size_t i = 0; i < 3; ++i)
    if (s.number(i) > s.number(i + 3))
      refuse(s, s.values[i] + " lies above " + s.values[i + 3], "the low corner comes first");
  keep(s);
}
void check_ball(EditStep& s) {
  numbers(s, 4);
  if (s.number(3) < 0) refuse(s, "the radius is negative");
  keep(s);
}
void check_plane(EditStep& s) {
  numbers(s, 4);
  if (s.number(0) == 0 && s.number(1) == 0 && s.number(2) == 0) refuse(s, "the normal is 0");
  keep(s);
}
void check_views(EditStep& s) {
  count(s, 1, 1);
  number_of(s, s.values[0], "", 1, 1e9);
  keep(s);
}
void check_filter(EditStep& s) { (void)Expression::parse(s.values[0], flag_of(s.name)); }
// What splat-transform calls it: a filter of one comparison.
void check_filter_value(EditStep& s) {
  count(s, 3, 3);
  static const std::map<std::string, std::string> signs = {
      {"lt", "<"}, {"lte", "<="}, {"gt", ">"}, {"gte", ">="}, {"eq", "=="}, {"neq", "!="}};
  const auto sign = signs.find(s.values[1]);
  if (sign == signs.end())
    refuse(s, "there is no comparison '" + s.values[1] + "'",
           "the comparisons are lt, lte, gt, gte, eq, neq");
  s.values = {s.values[0] + " " + sign->second + " (" + s.values[2] + ")"};
  s.name = "filter";
  check_filter(s);
}
void check_column(EditStep& s) {
  const size_t equals = s.values[0].find('=');
  if (equals == std::string::npos || equals == 0) refuse(s, "expects NAME=EXPRESSION");
  const std::string name = s.values[0].substr(0, equals);
  if (name.find_first_of(" \t\n,\"=!<>") != std::string::npos || name.size() > 64)
    refuse(s, "'" + name + "' is no name of a column", "use letters, digits and _");
  s.values = {name, s.values[0].substr(equals + 1)};
  (void)Expression::parse(s.values[1], flag_of(s.name));
}
void check_drop_columns(EditStep& s) { count(s, 1, 1000); }
void check_floaters(EditStep& s) {
  count(s, 1, 1);
  number_of(s, s.values[0], "", 0, 1);
}
void check_decimate(EditStep& s) {
  count(s, 1, 1);
  std::string text = s.values[0];
  const bool share = !text.empty() && text.back() == '%';
  if (share) text.pop_back();
  const double x = number_of(s, text, "", 0, share ? 100 : 1e12);
  if (!share && x != std::floor(x))
    refuse(s, "expected a whole number or a share, got '" + text + "'");
  parameter_word(s, "by", {"merge", "contribution", "random"});
  parameter_number(s, "divergence", 0, 1e12);
}
void check_degree(EditStep& s) {
  count(s, 1, 1);
  const double d = number_of(s, s.values[0], "", 0, 4);
  if (d != std::floor(d)) refuse(s, "expected a whole number, got '" + s.values[0] + "'");
}
void check_recolour(EditStep& s) {
  count(s, 0, 0);
  if (s.parameters.empty()) refuse(s, "nothing to change is given");
  parameter_number(s, "exposure", -20, 20);
  parameter_number(s, "temperature", -1, 1);
  parameter_colour(s, "tint", 0, 1000);
  parameter_colour(s, "neutral", 1e-3, 1000);
  parameter_number(s, "saturation", 0, 100);
  parameter_number(s, "contrast", 0, 100);
  parameter_number(s, "brightness", -10, 10);
  parameter_number(s, "opacity", 0, 1000);
}
void check_lod(EditStep& s) {
  count(s, 1, 1);
  const double levels = number_of(s, s.values[0], "", 2, 16);
  if (levels != std::floor(levels)) refuse(s, "expected a whole number, got '" + s.values[0] + "'");
  parameter_number(s, "ratio", 0.05, 0.9);
}

bool is_text(const std::string& name) { return name == "filter" || name == "set_column"; }

}  // namespace

const std::vector<EditKind>& edit_kinds() {
  static const std::vector<EditKind> table = {
      {"translate", "X,Y,Z", "moves the scene", {}, {"t"}, false, check_three},
      {"rotate",
       "X,Y,Z[,about=P]",
       "turns it by degrees about x, then y, then z; about the origin, the centre or X:Y:Z",
       {"about"},
       {"r"},
       false,
       check_three},
      {"scale",
       "S[,about=P]",
       "makes it S times as large; about the origin, the centre or X:Y:Z",
       {"about"},
       {"s"},
       false,
       check_scale},
      {"matrix",
       "M11,...,M44",
       "a similarity by its 4 x 4 or 3 x 4 matrix, row by row",
       {},
       {},
       false,
       check_matrix},
      {"upright",
       "ground|cameras|X,Y,Z",
       "turns up to -y: off the ground (which comes to y = 0), the cameras' up, or a direction",
       {},
       {},
       false,
       check_upright},
      {"align",
       "SCENE[,scale=yes]",
       "moves it onto another scene of the same place, by ICP on the Gaussians",
       {"scale", "overlap"},
       {},
       false,
       check_align},
      {"crop_box",
       "X0,Y0,Z0,X1,Y1,Z1[,keep=outside]",
       "keeps what lies in a box; - leaves a side open",
       {"keep"},
       {"filter_box", "B"},
       false,
       check_box},
      {"crop_sphere",
       "X,Y,Z,RADIUS[,keep=outside]",
       "keeps what lies in a ball",
       {"keep"},
       {"filter_sphere", "S"},
       false,
       check_ball},
      {"crop_plane",
       "NX,NY,NZ,D[,keep=outside]",
       "keeps what lies where n x >= d",
       {"keep"},
       {},
       false,
       check_plane},
      {"crop_views",
       "COUNT[,keep=outside]",
       "keeps what lies in the pictures of at least COUNT cameras",
       {"keep"},
       {},
       false,
       check_views},
      {"filter",
       "EXPRESSION",
       "keeps splats for which it holds: \"opacity > 0.1 && max(scale) < 0.5\"",
       {},
       {},
       false,
       check_filter},
      {"filter_value",
       "NAME,lt|lte|gt|gte|eq|neq,X",
       "a filter of one comparison",
       {},
       {"V"},
       true,
       check_filter_value},
      {"filter_nan",
       "",
       "keeps splats whose numbers are finite; opacities of 0 and 1 and flat discs stay",
       {},
       {"N"},
       false,
       check_none},
      {"remove_floaters",
       "STRENGTH[,preview=FILE.png]",
       "drops what hangs in the air: 0 drops none, 0.5 is usual, 1 is bold",
       {"preview"},
       {"floaters", "filter_floaters"},
       false,
       check_floaters},
      {"decimate",
       "N|N%[,by=merge|contribution|random]",
       "leaves N splats or N %",
       {"by", "divergence"},
       {"F"},
       false,
       check_decimate},
      {"sh_degree",
       "DEGREE",
       "drops spherical harmonics above a degree",
       {},
       {"filter_harmonics", "filter_bands", "H"},
       false,
       check_degree},
      {"recolour",
       "exposure=EV,tint=R:G:B,...",
       "exposure, temperature, tint, neutral, saturation, contrast, brightness, opacity",
       {"exposure", "temperature", "tint", "neutral", "saturation", "contrast", "brightness",
        "opacity"},
       {"recolor"},
       false,
       check_recolour},
      {"sort",
       "",
       "along a Morton curve: neighbours follow one another",
       {},
       {"morton_order", "m"},
       false,
       check_none},
      {"set_column",
       "NAME=EXPRESSION",
       "writes a column of its own for each splat: \"label=y < 0\"",
       {},
       {},
       false,
       check_column},
      {"drop_columns",
       "NAME,...",
       "leaves columns of the file out",
       {},
       {},
       false,
       check_drop_columns},
      {"lod",
       "LEVELS[,ratio=0.5]",
       "adds coarser levels of detail, told apart by the column lod (0 is the finest)",
       {"ratio"},
       {"l"},
       false,
       check_lod},
      {"merge",
       "",
       "joins the scenes so far; what follows acts on all of them",
       {},
       {},
       false,
       check_none},
      {"next_scene", "", "the next input enters", {}, {}, true, check_none},
  };
  return table;
}

double EditStep::number(size_t i) const { return parse_number(values.at(i)).value(); }

double EditStep::number(const std::string& parameter, double otherwise) const {
  const auto it = parameters.find(parameter);
  return it == parameters.end() ? otherwise : parse_number(it->second).value();
}

std::vector<double> EditStep::numbers(const std::string& parameter,
                                      std::vector<double> otherwise) const {
  const auto it = parameters.find(parameter);
  if (it == parameters.end()) return otherwise;
  std::vector<double> out;
  for (const std::string& p : parted(it->second, ':')) out.push_back(parse_number(p).value());
  return out;
}

std::string EditStep::word(const std::string& parameter, const std::string& otherwise) const {
  const auto it = parameters.find(parameter);
  return it == parameters.end() ? otherwise : it->second;
}

EditStep parse_edit_step(const std::string& text) {
  EditStep s;
  const size_t equals = text.find('=');
  s.name = text.substr(0, equals);
  std::replace(s.name.begin(), s.name.end(), '-', '_');
  const std::string value = equals == std::string::npos ? "" : text.substr(equals + 1);
  const EditKind* kind = find_kind(s.name);
  if (!kind) {
    std::vector<std::string> names;
    for (const EditKind& k : edit_kinds()) names.push_back(k.name);
    const std::string near = nearest_word(s.name, names);
    throw Error(ExitCode::kUsage, "there is no such operation", s.name,
                near.empty() ? "covary edit --help lists them" : "did you mean " + near + "?");
  }
  if (is_text(s.name)) {
    s.values = {value};
  } else {
    for (const std::string& part : parted(value, ',')) {
      const size_t at = part.find('=');
      if (at == std::string::npos) {
        if (!s.parameters.empty())
          refuse(s, "'" + part + "' stands behind a parameter",
                 "values come first, then key=value");
        s.values.push_back(part);
        continue;
      }
      const std::string key = part.substr(0, at);
      if (std::find(kind->parameters.begin(), kind->parameters.end(), key) ==
          kind->parameters.end()) {
        const std::string near = nearest_word(key, kind->parameters);
        refuse(s, "has no parameter '" + key + "'",
               near.empty() ? "" : "did you mean " + near + "?");
      }
      if (!s.parameters.emplace(key, part.substr(at + 1)).second)
        refuse(s, key + " is given twice", "give it once");
    }
  }
  kind->check(s);
  return s;
}

void describe_edit_steps(OptionList& o, std::vector<std::string>* steps) {
  o.add("operations", steps, "what is done, in this order").hidden();
  for (const EditKind& kind : edit_kinds()) {
    OptionField& f = o.add_step(kind.name, steps, kind.help).shape(kind.shape);
    for (const std::string& s : kind.synonyms) f.synonym(s);
    if (kind.shape.empty()) f.bare("");
    if (kind.hidden)
      f.hidden();
    else
      f.common();
  }
}

}  // namespace covary::scene
