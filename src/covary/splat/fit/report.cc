#include "covary/splat/fit/report.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/core/base/base64.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/machine.h"
#include "covary/core/data/image.h"
#include "covary/core/data/page.h"
#include "covary/splat/fit/run_log.h"
#include "covary/splat/scene/noun.h"

namespace covary::fit {
namespace {

namespace fs = std::filesystem;
using data::Curve;
using data::escaped;
using data::page;
using data::tile;
using nlohmann::json;

std::string number(double v, int digits) { return data::fixed_number(v, digits); }

// 1234567 as "1 234 567" with narrow spaces.
std::string grouped(int64_t n) {
  std::string digits = std::to_string(n), out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += "&#8239;";
    out += digits[i];
  }
  return out;
}

std::string span_of(double seconds) {
  if (seconds < 120) return number(seconds, 1) + " s";
  const auto s = static_cast<int64_t>(seconds);
  if (s < 7200) return std::to_string(s / 60) + " min " + std::to_string(s % 60) + " s";
  return std::to_string(s / 3600) + " h " + std::to_string(s / 60 % 60) + " min";
}

// A figure of metrics.json: a number, or {"value": number}; NaN when it is neither.
double figure(const json& object, const char* name) {
  if (!object.is_object()) return NAN;
  const auto found = object.find(name);
  if (found == object.end()) return NAN;
  if (found->is_number()) return found->get<double>();
  return found->is_object() ? figure(*found, "value") : NAN;
}

std::string embedded(const data::Image8& image, const std::string& label) {
  return "<img alt=\"" + escaped(label) + "\" src=\"data:image/jpeg;base64," +
         base64(data::encode_jpeg(image, 88)) + "\">";
}

std::vector<Curve> curves_of(const std::vector<json>& records, const std::string& primitives) {
  Curve loss{.title = "Training loss", .log_scale = true, .digits = 4};
  Curve quality{.title = "PSNR of a few held-out views, dB", .dots = true};
  Curve count{.title = primitives, .digits = 0};
  Curve rate{.title = "Wall clock, s", .digits = 0};
  for (const json& r : records) {
    const double step = figure(r, "step");
    if (!std::isfinite(step)) continue;
    const auto add = [&](Curve& c, const char* name) {
      const double v = figure(r, name);
      if (!std::isfinite(v)) return;
      c.x.push_back(step);
      c.y.push_back(v);
    };
    add(loss, "loss");
    add(quality, "test_psnr");
    if (r.contains("train_psnr")) quality.title = "PSNR of a few training views, dB";
    add(quality, "train_psnr");
    add(count, "count");
    add(rate, "wall_s");
  }
  std::vector<Curve> all;
  for (Curve* c : {&loss, &quality, &count, &rate})
    if (!c->y.empty()) all.push_back(std::move(*c));
  return all;
}

std::string row(std::initializer_list<std::string> cells) {
  std::string out = "<tr>";
  for (const auto& c : cells) out += "<td>" + c + "</td>";
  return out + "</tr>";
}

std::string text_of(const json& object, const char* name) {
  return object.contains(name) && object[name].is_string() ? object[name].get<std::string>() : "";
}

json parsed(const fs::path& file) {
  if (!fs::exists(file)) return json::object();
  json j = json::parse(read_file(file), nullptr, false);
  return j.is_object() ? j : json::object();
}

std::string gallery(const std::vector<ViewPictures>& views) {
  std::string out;
  for (const ViewPictures& v : views)
    out += "<figure><div class=\"trio\">" + embedded(v.truth, v.name + ", photo") +
           embedded(v.render, v.name + ", rendered") + embedded(v.error, v.name + ", error") +
           "</div><figcaption>" + escaped(v.name) +
           ": photo, rendering, absolute error (dark 0, white 0.25 and more)</figcaption></figure>";
  return out;
}

std::string curves_page(const fs::path& run, const std::string& primitives) {
  std::string out = "<div class=\"curves\">";
  for (const Curve& c : curves_of(read_log(run / "log.jsonl"), primitives))
    out += data::curve_card(c);
  return out + "</div>";
}

std::string tiles_of(const json& metrics, const std::string& primitives = "Gaussians") {
  std::string out;
  const json train = metrics.value("train", json::object());
  const json evals = metrics.value("eval", json::object());
  for (const auto& [split, e] : evals.items()) {
    const std::string of = ", " + escaped(split) + " views";
    if (const double v = figure(e, "psnr"); std::isfinite(v))
      out += tile(number(v, 2) + " dB", "PSNR" + of);
    if (const double v = figure(e, "ssim"); std::isfinite(v))
      out += tile(number(v, 4), "SSIM" + of);
    if (const double v = figure(e, "lpips"); std::isfinite(v))
      out += tile(number(v, 4), "LPIPS" + of);
    for (const auto& [name, of_figure] : e.items())
      if (name.starts_with("psnr_") && name != "psnr_8bit")
        out += tile(number(figure(e, name.c_str()), 2) + " dB",
                    "PSNR" + of + "; " + escaped(text_of(of_figure, "of")));
  }
  if (const double v = figure(metrics, "count"); std::isfinite(v))
    out += tile(grouped(static_cast<int64_t>(v)), primitives);
  if (const double v = figure(train, "wall_s"); std::isfinite(v))
    out += tile(span_of(v), "training, wall clock");
  if (const double v = figure(metrics, "steps"); std::isfinite(v))
    out += tile(grouped(static_cast<int64_t>(v)), "steps");
  return out;
}

std::string timings_of(const json& metrics) {
  std::string rows;
  const json train = metrics.value("train", json::object());
  const auto add = [&](const char* label, double v, int digits, const char* unit) {
    if (std::isfinite(v)) rows += row({label, number(v, digits) + " " + unit});
  };
  add("Training, wall clock", figure(train, "wall_s"), 1, "s");
  add("Training, CPU time of all threads", figure(train, "cpu_s"), 1, "s");
  add("Rate", figure(train, "steps_per_s"), 1, "steps/s");
  add("Peak memory", figure(train, "peak_memory_mb"), 0, "MB");
  const json cameras = metrics.value("cameras", json::object());
  add("Cameras turned, mean", figure(cameras, "turned_deg"), 3, "degrees");
  add("Cameras shifted, mean", 100 * figure(cameras, "shifted_extents"), 3, "% of the extent");
  add("Focal length changed, largest", 100 * figure(cameras, "focal_change"), 3, "%");
  const json exposure = metrics.value("exposure", json::object());
  add("Least gain of a photo", figure(exposure, "gain_least"), 3, "");
  add("Largest gain of a photo", figure(exposure, "gain_largest"), 3, "");
  const json evals = metrics.value("eval", json::object());
  for (const auto& [split, e] : evals.items()) {
    const std::string label = "Rendering an image, " + escaped(split) + " views, " +
                              number(figure(e, "width"), 0) + " x " +
                              number(figure(e, "height"), 0);
    add(label.c_str(), 1e3 * figure(e, "seconds_per_image"), 1, "ms");
    add("Size of scene.ply", figure(e, "bytes") / 1e6, 2, "MB");
  }
  return rows;
}

std::string views_of(const json& metrics) {
  std::string out;
  const json evals = metrics.value("eval", json::object());
  for (const auto& [split, e] : evals.items()) {
    if (!e.is_object() || !e.contains("views")) continue;
    const bool lpips = std::isfinite(figure(e, "lpips"));
    out += "<h2>Every " + escaped(split) +
           " view</h2><div class=\"card scroll\"><table><tr><th>View</th><th>PSNR, dB</th>"
           "<th>PSNR of 8 bits, dB</th><th>SSIM</th>" +
           (lpips ? "<th>LPIPS</th>" : "") + "<th>ms</th></tr>";
    for (const json& v : e["views"]) {
      std::string line = "<tr><td>" + escaped(v.value("name", "")) + "</td><td>" +
                         number(figure(v, "psnr"), 2) + "</td><td>" +
                         number(figure(v, "psnr_8bit"), 2) + "</td><td>" +
                         number(figure(v, "ssim"), 4) + "</td>";
      if (lpips) line += "<td>" + number(figure(v, "lpips"), 4) + "</td>";
      out += line + "<td>" + number(1e3 * figure(v, "seconds"), 1) + "</td></tr>";
    }
    out += "</table></div>";
    if (!lpips)
      out += "<p class=\"sub\">LPIPS is absent: it needs a TorchScript file (--lpips FILE).</p>";
  }
  return out;
}

// What the first lines of a run's pages say.
struct RunHead {
  json config;
  std::string title, below, primitives;
};

RunHead head_of(const fs::path& run) {
  RunHead head{parsed(run / "config.json"), "scene", "", ""};
  const json& config = head.config;
  head.primitives =
      scene::noun_of(text_of(config.value("options", json::object()), "primitive")).many;
  head.primitives[0] = static_cast<char>(std::toupper(head.primitives[0]));
  if (config.contains("inputs") && config["inputs"].is_array() && !config["inputs"].empty() &&
      config["inputs"][0].is_string())
    head.title = config["inputs"][0].get<std::string>();
  const json machine = config.value("machine", json::object());
  head.below = "Covary " + escaped(text_of(config, "version"));
  if (const std::string cpu = text_of(machine, "cpu"); !cpu.empty())
    head.below += " on " + escaped(cpu);
  if (const double threads = figure(machine, "threads"); std::isfinite(threads))
    head.below += ", " + number(threads, 0) + (threads == 1 ? " thread" : " threads");
  return head;
}

}  // namespace

std::vector<ViewPictures> pictures_of_run(const fs::path& run) {
  std::set<std::string> stems;
  std::error_code fault;
  constexpr std::string_view kEnd = "_render.png";
  const fs::path folder = run / "eval";
  for (const auto& entry : fs::directory_iterator(folder, fault)) {
    const std::string name = entry.path().filename().string();
    if (name.size() > kEnd.size() && name.ends_with(kEnd))
      stems.insert(name.substr(0, name.size() - kEnd.size()));
  }
  std::vector<ViewPictures> views;
  for (const auto& stem : stems) {
    const std::string base = (folder / stem).string();
    if (!fs::exists(base + "_truth.png") || !fs::exists(base + "_error.png")) continue;
    views.push_back({stem, data::read_image(base + "_truth.png"),
                     data::read_image(base + "_render.png"),
                     data::read_image(base + "_error.png")});
    if (static_cast<int64_t>(views.size()) == kShownPictures) break;
  }
  return views;
}

void write_report(const fs::path& run, const fs::path& file) {
  const RunHead head = head_of(run);
  const json metrics = parsed(run / "metrics.json");
  std::string body;
  if (const std::string note = text_of(metrics, "note"); !note.empty())
    body += "<p class=\"card\">" + escaped(note) + "</p>";
  body += "<div class=\"tiles\">" + tiles_of(metrics, head.primitives) + "</div>";
  if (const std::string pictures = gallery(pictures_of_run(run)); !pictures.empty())
    body += "<h2>Views</h2>" + pictures;
  body += "<h2>Training</h2>" + curves_page(run, head.primitives) +
          "<h2>Timings and size</h2><div class=\"card scroll\"><table>" + timings_of(metrics) +
          "</table></div>" + views_of(metrics);
  if (head.config.contains("options"))
    body +=
        "<h2>Options</h2><details class=\"card\"><summary>every resolved option</summary><pre>" +
        escaped(head.config["options"].dump(2)) + "</pre></details>";
  write_file(file.empty() ? run / "report.html" : file, page(head.title, head.below, body));
}

void write_curves(const fs::path& run, const fs::path& file) {
  const RunHead head = head_of(run);
  write_file(file, page(head.title, head.below, curves_page(run, head.primitives)));
}

void write_evaluation(const fs::path& file, const std::vector<ScoredScene>& scenes, bool figures) {
  std::string body;
  for (const ScoredScene& s : scenes) {
    const json metrics = {{"eval", {{s.evaluation.split, s.evaluation.to_json()}}}};
    if (scenes.size() > 1) body += "<h2>" + escaped(s.title) + "</h2>";
    body += "<div class=\"tiles\">" + tiles_of(metrics) + "</div>" + "<h2>Views</h2>" +
            gallery(s.evaluation.pictures);
    if (figures)
      body += "<h2>Timings and size</h2><div class=\"card scroll\"><table>" + timings_of(metrics) +
              "</table></div>" + views_of(metrics);
  }
  const std::string title = scenes.size() == 1 ? scenes[0].title : "Evaluation";
  write_file(file, page(title, "Covary " + escaped(std::string(version())), body));
}

data::Image8 contact_sheet(const std::vector<ViewPictures>& views) {
  constexpr int kMostWide = 480, kGap = 8;  // px: of a picture, between two
  std::vector<std::array<data::Image8, 3>> rows;
  int width = 0, height = kGap;
  for (const ViewPictures& v : views) {
    const int w = std::min(kMostWide, v.truth.width);
    const int h = std::max(
        1, static_cast<int>(std::lround(static_cast<double>(v.truth.height) * w / v.truth.width)));
    rows.push_back({data::resize_area(v.truth, w, h), data::resize_area(v.render, w, h),
                    data::resize_area(v.error, w, h)});
    width = std::max(width, 3 * (w + kGap) + kGap);
    height += h + kGap;
  }
  data::Image8 sheet(height, width, 3);
  std::fill(sheet.pixels.begin(), sheet.pixels.end(), uint8_t{24});
  int top = kGap;
  for (const auto& row : rows) {
    for (int k = 0; k < 3; ++k) {
      const data::Image8& picture = row[static_cast<size_t>(k)];
      const int left = kGap + k * (picture.width + kGap);
      for (int y = 0; y < picture.height; ++y)
        std::copy_n(picture.at(y, 0), picture.width * 3, sheet.at(top + y, left));
    }
    top += row[0].height + kGap;
  }
  return sheet;
}

}  // namespace covary::fit
