#include "covary/core/eval/document.h"

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "covary/core/base/error.h"

namespace covary::eval {
namespace {

using nlohmann::json;

json number(double v) { return std::isfinite(v) ? json(v) : json(nullptr); }

json quantity_json(const std::optional<Quantity>& q) {
  if (!q) return nullptr;
  json j = {{"value", number(q->value)}, {"unit", q->unit}};
  if (!q->name.empty()) j["name"] = q->name;
  if (q->n > 1 || q->low || q->high) {
    j["n"] = q->n;
    j["low"] = q->low ? number(*q->low) : json(nullptr);
    j["high"] = q->high ? number(*q->high) : json(nullptr);
  }
  return j;
}

json bar_base(const Bar& bar) {
  json paper = nullptr;
  if (bar.paper) {
    paper = {{"value", number(bar.paper->value)},
             {"where", bar.paper->where},
             {"setting", bar.paper->setting}};
  }
  return {{"id", bar.id},
          {"part", bar.part},
          {"title", bar.title},
          {"metric", bar.metric},
          {"unit", bar.unit},
          {"paper", paper},
          {"baseline", nullptr},
          {"ours", nullptr},
          {"bound", {{"text", bar.bound}}},
          {"pass", nullptr},
          {"status", "skipped"},
          {"wall_s", 0.0},
          {"note", ""}};
}

std::string words(double v) {
  char text[64];
  const double a = std::fabs(v);
  if (v == std::floor(v) && a < 1e7) {
    std::snprintf(text, sizeof(text), "%.0f", v);
  } else if (a != 0 && (a < 1e-3 || a >= 1e7)) {
    std::snprintf(text, sizeof(text), "%.3g", v);
  } else {
    std::snprintf(text, sizeof(text), "%.4g", v);
  }
  return text;
}

std::string figure(const json& q) {
  if (!q.is_object()) return "-";
  const json value = q.value("value", json(nullptr));
  std::string text = value.is_number() ? words(value.get<double>()) : "NaN";
  const std::string unit = q.value("unit", "");
  if (!unit.empty() && unit != "1") text += " " + unit;
  const std::string name = q.value("name", "");
  if (!name.empty()) text += " (" + name + ")";
  return text;
}

std::string bar_name(const json& bar) { return bar.value("id", "") + bar.value("part", ""); }

std::string verdict_word(const json& bar) {
  if (bar.value("status", "") == "skipped") return "skipped";
  return bar.value("pass", json(nullptr)) == json(true) ? "pass" : "FAIL";
}

std::string compared(const json& bar) {
  const json& bound = bar.at("bound");
  std::string text = bound.value("text", "");
  if (!bound.contains("left")) return text;
  const json& l = bound.at("left");
  const json& r = bound.at("right");
  text += ": " + (l.is_number() ? words(l.get<double>()) : std::string("NaN")) + " " +
          bound.value("op", "") + " ";
  if (r.is_array() && r.size() == 2) {
    text += "[" + (r[0].is_number() ? words(r[0].get<double>()) : std::string("NaN")) + ", " +
            (r[1].is_number() ? words(r[1].get<double>()) : std::string("NaN")) + "]";
  } else {
    text += r.is_number() ? words(r.get<double>()) : std::string("NaN");
  }
  return text;
}

std::string escaped(const std::string& text, bool html) {
  std::string out;
  for (char c : text) {
    if (html && c == '<')
      out += "&lt;";
    else if (html && c == '>')
      out += "&gt;";
    else if (html && c == '&')
      out += "&amp;";
    else if (!html && c == '|')
      out += "\\|";
    else if (c == '\n')
      out += ' ';
    else
      out += c;
  }
  return out;
}

// Whether the comparison written in a bar holds; false for what is not a number.
bool written_bound_holds(const json& bound) {
  const json left = bound.value("left", json(nullptr)), right = bound.value("right", json(nullptr));
  Bound b{.text = "", .left = NAN, .op = bound.value("op", ""), .right = NAN, .upper = NAN};
  if (left.is_number()) b.left = left.get<double>();
  if (right.is_number()) b.right = right.get<double>();
  if (right.is_array() && right.size() == 2 && right[0].is_number() && right[1].is_number()) {
    b.right = right[0].get<double>();
    b.upper = right[1].get<double>();
  }
  return holds(b);
}

}  // namespace

bool holds(const Bound& b) {
  if (b.op == "<=") return b.left <= b.right;
  if (b.op == ">=") return b.left >= b.right;
  if (b.op == "<") return b.left < b.right;
  if (b.op == ">") return b.left > b.right;
  if (b.op == "==") return b.left == b.right;
  if (b.op == "in") return b.right <= b.left && b.left <= b.upper;
  throw Error(ExitCode::kFailed, "unknown comparison '" + b.op + "'", "bound.op",
              "one of <= >= < > == in");
}

json skipped_bar(const Bar& bar, const std::string& note) {
  json j = bar_base(bar);
  j["note"] = note;
  return j;
}

json measured_bar(const Bar& bar, const BarResult& result, const std::string& scale,
                  double wall_s) {
  json j = bar_base(bar);
  j["baseline"] = quantity_json(result.baseline);
  j["ours"] = quantity_json(result.ours);
  const Bound& b = result.bound;
  json right = number(b.right);
  if (b.op == "in") right = json::array({number(b.right), number(b.upper)});
  j["bound"] = {
      {"text", b.text}, {"left", number(b.left)}, {"op", b.op}, {"right", right}, {"scale", scale}};
  // Judged from what is written, so that whoever reads the document finds the same verdict.
  const bool value_is_number = !result.ours || std::isfinite(result.ours->value);
  j["pass"] = value_is_number && written_bound_holds(j["bound"]);
  j["status"] = "ran";
  j["wall_s"] = wall_s;
  j["note"] = result.note;
  return j;
}

json failed_bar(const Bar& bar, const std::string& message, double wall_s) {
  json j = bar_base(bar);
  j["pass"] = false;
  j["status"] = "failed";
  j["wall_s"] = wall_s;
  j["note"] = message;
  return j;
}

void settle_document(json& document) {
  int64_t passed = 0, failed = 0, skipped = 0;
  for (const json& bar : document.at("bars")) {
    if (bar.at("status") == "skipped")
      ++skipped;
    else if (bar.at("pass") == json(true))
      ++passed;
    else
      ++failed;
  }
  document["passed"] = passed;
  document["failed"] = failed;
  document["skipped"] = skipped;
  document["verdict"] = failed == 0 && passed > 0 ? "pass" : "fail";
}

std::vector<std::string> document_faults(const json& d) {
  std::vector<std::string> faults;
  if (!d.is_object()) return {"not a JSON object"};
  if (d.value("schema", json(nullptr)) != json("covary-study/1")) {
    return {"schema: not covary-study/1"};
  }
  const auto want = [&](const json& object, const std::string& where, const std::string& key,
                        bool (json::*kind)() const noexcept) {
    if (!object.contains(key) || !(object.at(key).*kind)()) {
      faults.push_back(where + key + ": missing or of the wrong type");
      return false;
    }
    return true;
  };
  for (const char* key : {"slug", "title", "scale", "device", "started", "verdict"}) {
    want(d, "", key, &json::is_string);
  }
  for (const char* key : {"wall_s", "cpu_s", "peak_mb", "seed", "passed", "failed", "skipped"}) {
    want(d, "", key, &json::is_number);
  }
  for (const char* key : {"machine", "options"}) want(d, "", key, &json::is_object);
  for (const char* key : {"data", "tables", "plots"}) want(d, "", key, &json::is_array);
  if (!want(d, "", "bars", &json::is_array)) return faults;

  bool countable = true;
  for (size_t i = 0; i < d.at("bars").size(); ++i) {
    const json& bar = d.at("bars")[i];
    const std::string where = "bars[" + std::to_string(i) + "].";
    bool whole = bar.is_object();
    if (!whole) faults.push_back(where + " not an object");
    for (const char* key : {"id", "part", "title", "metric", "unit", "status", "note"}) {
      whole = whole && want(bar, where, key, &json::is_string);
    }
    whole = whole && want(bar, where, "bound", &json::is_object) &&
            want(bar, where, "wall_s", &json::is_number);
    for (const char* key : {"paper", "baseline", "ours", "pass"}) {
      if (whole && !bar.contains(key)) {
        faults.push_back(where + key + ": missing");
        whole = false;
      }
    }
    if (!whole) {
      countable = false;
      continue;
    }
    const std::string status = bar.at("status");
    const json& pass = bar.at("pass");
    if (status == "skipped") {
      if (!pass.is_null()) faults.push_back(where + "pass: a skipped bar has none");
      if (bar.at("note").get<std::string>().empty()) {
        faults.push_back(where + "note: a skipped bar says why");
      }
    } else if (status == "failed") {
      if (pass != json(false)) faults.push_back(where + "pass: a bar that broke off cannot pass");
    } else if (status == "ran") {
      const json& ours = bar.at("ours");
      bool held = false;
      try {
        held = written_bound_holds(bar.at("bound")) &&
               !(ours.is_object() && ours.value("value", json(nullptr)).is_null());
      } catch (const Error& e) {
        faults.push_back(where + e.what());
        continue;
      }
      if (pass != json(held)) {
        faults.push_back(where + "pass: the comparison gives " + (held ? "true" : "false"));
      }
    } else {
      faults.push_back(where + "status: '" + status + "' is none of ran, skipped, failed");
    }
  }
  if (countable) {
    json again = d;
    settle_document(again);
    for (const char* key : {"passed", "failed", "skipped", "verdict"}) {
      if (d.contains(key) && again.at(key) != d.at(key)) {
        faults.push_back(std::string(key) + ": the bars give " + again.at(key).dump());
      }
    }
  }
  return faults;
}

std::string document_text(const json& d) {
  std::string out = d.at("slug").get<std::string>() + " (" + d.at("scale").get<std::string>() +
                    "): " + d.at("title").get<std::string>() + "\n";
  for (const json& bar : d.at("bars")) {
    std::string name = bar_name(bar);
    name.resize(std::max<size_t>(name.size(), 9), ' ');
    std::string verdict = verdict_word(bar);
    verdict.resize(8, ' ');
    out += "  " + name + verdict + bar.at("title").get<std::string>();
    if (bar.at("status") != "skipped" && bar.at("bound").contains("left")) {
      out += "; " + compared(bar);
      if (bar.at("baseline").is_object()) out += "; baseline " + figure(bar.at("baseline"));
    }
    const std::string note = bar.at("note");
    if (!note.empty()) out += " [" + note + "]";
    out += "\n";
  }
  out += "verdict: " + d.at("verdict").get<std::string>() + ", " +
         std::to_string(d.at("passed").get<int64_t>()) + " passed, " +
         std::to_string(d.at("failed").get<int64_t>()) + " failed, " +
         std::to_string(d.at("skipped").get<int64_t>()) + " skipped; " +
         words(std::round(d.at("wall_s").get<double>() * 10) / 10) + " s\n";
  return out;
}

namespace {

std::string cell(const json& v) {
  if (v.is_string()) return v.get<std::string>();
  if (v.is_number()) return words(v.get<double>());
  return v.is_null() ? "-" : v.dump();
}

std::vector<std::string> bar_cells(const json& bar) {
  return {bar_name(bar),
          bar.at("title").get<std::string>(),
          bar.at("paper").is_object() ? cell(bar.at("paper").value("value", json(nullptr))) : "-",
          figure(bar.at("baseline")),
          figure(bar.at("ours")),
          compared(bar),
          verdict_word(bar),
          bar.at("note").get<std::string>()};
}

const std::vector<std::string> kBarColumns = {"bar",  "title",      "paper",   "baseline",
                                              "ours", "comparison", "verdict", "note"};

std::string html_table(const std::vector<std::string>& columns,
                       const std::vector<std::vector<std::string>>& rows) {
  std::string out = "<table><tr>";
  for (const auto& c : columns) out += "<th>" + escaped(c, true) + "</th>";
  out += "</tr>";
  for (const auto& row : rows) {
    out += "<tr>";
    for (const auto& c : row) out += "<td>" + escaped(c, true) + "</td>";
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

std::string markdown_row(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const auto& c : cells) out += " " + escaped(c, false) + " |";
  return out + "\n";
}

std::string markdown_rule(size_t n) {
  std::string out = "|";
  for (size_t i = 0; i < n; ++i) out += " --- |";
  return out + "\n";
}

std::vector<std::string> table_cells(const json& row) {
  std::vector<std::string> cells;
  for (const json& v : row) cells.push_back(cell(v));
  return cells;
}

}  // namespace

std::string document_html(const json& d) {
  std::string out =
      "<!doctype html><html><head><meta charset=\"utf-8\"><title>" +
      escaped(d.at("slug").get<std::string>(), true) +
      "</title><style>body{font:14px sans-serif;margin:2em}table{border-collapse:collapse;margin:"
      "1em 0}td,th{border:1px solid #ccc;padding:.3em .6em;text-align:left}</style></head><body>\n";
  out += "<h1>" + escaped(d.at("title").get<std::string>(), true) + "</h1>\n<p>" +
         escaped(d.at("scale").get<std::string>() + " scale, " +
                     d.at("machine").value("cpu", std::string("?")) + ", started " +
                     d.at("started").get<std::string>() + ": " + d.at("verdict").get<std::string>(),
                 true) +
         "</p>\n";
  std::vector<std::vector<std::string>> rows;
  for (const json& bar : d.at("bars")) rows.push_back(bar_cells(bar));
  out += html_table(kBarColumns, rows);
  for (const json& table : d.at("tables")) {
    std::vector<std::vector<std::string>> cells;
    for (const json& row : table.at("rows")) cells.push_back(table_cells(row));
    out += "<h2>" + escaped(table.at("name").get<std::string>(), true) + "</h2>\n" +
           html_table(table.at("columns").get<std::vector<std::string>>(), cells);
  }
  return out + "</body></html>\n";
}

std::string documents_markdown(const std::vector<json>& documents) {
  std::string out =
      "# Studies\n\n"
      "Published claims, measured again. Generated by `covary study --table > docs/studies.md` "
      "from "
      "`studies/results/`; a study that fails a bar is shown as failing.\n\n";
  const std::vector<std::string> head = {"study",   "title",   "verdict", "passed", "failed",
                                         "skipped", "minutes", "machine", "date"};
  out += markdown_row(head) + markdown_rule(head.size());
  for (const json& d : documents) {
    out += markdown_row({"`" + d.at("slug").get<std::string>() + "`",
                         d.at("title").get<std::string>(), d.at("verdict").get<std::string>(),
                         cell(d.at("passed")), cell(d.at("failed")), cell(d.at("skipped")),
                         words(std::round(d.at("wall_s").get<double>() / 6) / 10),
                         d.at("machine").value("cpu", std::string("?")) + ", " +
                             cell(d.at("machine").value("threads", json(nullptr))) + " threads",
                         d.at("started").get<std::string>().substr(0, 10)});
  }
  for (const json& d : documents) {
    out += "\n## " + d.at("slug").get<std::string>() + "\n\n";
    out += markdown_row(kBarColumns) + markdown_rule(kBarColumns.size());
    for (const json& bar : d.at("bars")) out += markdown_row(bar_cells(bar));
    for (const json& table : d.at("tables")) {
      const auto columns = table.at("columns").get<std::vector<std::string>>();
      out += "\n**" + table.at("name").get<std::string>() + "**\n\n" + markdown_row(columns) +
             markdown_rule(columns.size());
      for (const json& row : table.at("rows")) out += markdown_row(table_cells(row));
    }
  }
  return out;
}

}  // namespace covary::eval
