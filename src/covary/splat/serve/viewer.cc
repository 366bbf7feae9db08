#include "covary/splat/serve/viewer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/names.h"
#include "covary/core/data/video.h"
#include "covary/splat/scene/camera_path.h"
#include "covary/splat/scene/claimed_rows.h"
#include "covary/splat/scene/format.h"
#include "covary/splat/serve/film.h"
#include "covary/splat/serve/frames.h"
#include "covary/splat/serve/page.h"
#include "covary/splat/serve/request_fields.h"
#include "covary/splat/serve/splat_stream.h"

namespace covary::serve {
namespace {

using nlohmann::json;

// Scripts, styles and data from this server alone. The sorting worker is a blob of the script; screenshots are blobs.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors "
    "'none'";
constexpr size_t kMaxHistory = 2000;         // figures that a new page is sent
constexpr size_t kMaxFilmRequest = 1 << 20;  // bytes
// Threads of the server: see http_server.h.
constexpr const char *kPhotos = "photos", *kFrames = "frames", *kFilms = "films", *kFiles = "files";

HttpOptions with_policy(HttpOptions options) {
  options.content_policy = kPolicy;
  return options;
}

std::string text_of(const json& j) {
  return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::shared_ptr<const Bytes> bytes_of(const std::string& text) {
  return std::make_shared<const Bytes>(text.begin(), text.end());
}

json vector_json(const Eigen::Vector3d& v) { return {v[0], v[1], v[2]}; }

// Median centre, and the radius that holds 90% of the rows.
void middle_ball(const scene::Cloud& cloud, Eigen::Vector3d* centre, double* radius) {
  *centre = Eigen::Vector3d::Zero();
  *radius = 1;
  at::Tensor means = cloud.means.detach().to(at::kCPU, at::kDouble);
  means = means.index_select(0, at::isfinite(means).all(1).nonzero().squeeze(1));
  const int64_t n = means.size(0);
  if (n == 0) return;
  const at::Tensor middle = std::get<0>(means.median(0));
  for (int k = 0; k < 3; ++k) (*centre)[k] = middle[k].item<double>();
  const at::Tensor distance = std::get<0>((means - middle).norm(2, {1}).sort());
  *radius = std::max(distance[(n - 1) * 9 / 10].item<double>(), 1e-9);
}

}  // namespace

struct Viewer::Shown {
  int64_t revision = 0;
  ViewedScene scene;
  at::Tensor order;
  std::shared_ptr<const Bytes> facts, splats,
      cameras;  // splats: null where a page cannot hold them

  // Made when the first picture is asked for.
  const FramePainter& painter() const {
    std::call_once(painted, [this] { paint = std::make_unique<FramePainter>(scene.cloud); });
    return *paint;
  }

 private:
  mutable std::once_flag painted;
  mutable std::unique_ptr<const FramePainter> paint;
};

json facts_of(const ViewedScene& scene, int64_t rows) {
  json facts = {{"schema", "covary-view/1"}, {"name", scene.name}, {"note", scene.note}};
  if (!scene.error.empty()) {
    facts["error"] = scene.error;
    return facts;
  }
  const scene::Cloud& cloud = scene.cloud;
  Eigen::Vector3d centre;
  double radius;
  middle_ball(cloud, &centre, &radius);
  Eigen::Vector3d up(0, 0, 1), focus = centre;
  if (!scene.cameras.cameras.empty()) {
    std::vector<scene::Camera> cameras;
    for (const scene::NamedCamera& c : scene.cameras.cameras) cameras.push_back(c.camera);
    const scene::CameraPath path(std::move(cameras));
    up = path.up();
    focus = path.focus();
  }
  const auto& b = scene.cameras.background;
  facts["rows"] = cloud.size();
  facts["count"] = rows;  // finite ones: what is sent
  facts["sh_degree"] = std::min(cloud.sh_degree(), 3);
  facts["sh_degree_drawn"] = cloud.sh_degree();  // where the program draws
  facts["antialiased"] = cloud.antialiased;
  facts["columns"] = column_names(cloud);
  facts["centre"] = vector_json(centre);
  facts["radius"] = radius;
  facts["focus"] = vector_json(focus);
  facts["up"] = vector_json(up);
  facts["background"] = {b[0], b[1], b[2]};
  facts["cameras"] = scene.cameras.cameras.size();
  facts["photos"] = static_cast<bool>(scene.photo);
  return facts;
}

Viewer::Viewer(HttpOptions options, ViewerOptions how)
    : how_(how),
      drawing_(how.drawing),
      most_pixels_(how.most_pixels),
      server_(with_policy(std::move(options))) {
  const auto page = [this](const std::string& path, const char* name, const char* type) {
    const auto body = bytes_of(page_file(name));
    server_.get(path, [body, type](const Request&) { return bytes_response(type, body); });
  };
  page("/", "index.html", "text/html; charset=utf-8");
  page("/viewer.js", "viewer.js", "text/javascript; charset=utf-8");
  page("/viewer.css", "viewer.css", "text/css; charset=utf-8");

  server_.get("/api/scene", [this](const Request&) {
    const auto now = shown();
    if (!now)  // no fault: it comes by an event
      return json_response(200, R"({"revision": 0, "name": "", "error": "there is no scene yet"})");
    return bytes_response("application/json", now->facts);
  });
  server_.get("/api/splats", [this](const Request& request) {
    const auto now = shown(request);
    if (!now->splats)
      throw Error(ExitCode::kData, "this scene is drawn by the program", "",
                  "load the page again: it then asks for pictures");
    return bytes_response("application/octet-stream", now->splats);
  });
  server_.get("/api/cameras", [this](const Request& request) {
    return bytes_response("application/json", shown(request)->cameras);
  });
  server_.get(
      "/api/column",
      [this](const Request& request) {
        const auto now = shown(request);
        const auto name = request.query.find("name");
        return bytes_response(
            "application/octet-stream",
            std::make_shared<const Bytes>(encode_column(
                now->scene.cloud, now->order, name == request.query.end() ? "" : name->second)));
      },
      kPhotos);
  server_.get(
      "/api/photo",
      [this](const Request& request) {
        const auto now = shown(request);
        const auto& cameras = now->scene.cameras.cameras;
        const int64_t index = request.number("camera", 0, static_cast<int64_t>(cameras.size()) - 1);
        if (!now->scene.photo) throw Error(ExitCode::kData, "this scene came without photos");
        return bytes_response("image/png",
                              std::make_shared<const Bytes>(data::encode_png(
                                  now->scene.photo(cameras[static_cast<size_t>(index)]))));
      },
      kPhotos);
  serve_drawing();
  if (how_.files) serve_files();
  server_.events("/api/events", [this] {
    std::vector<std::pair<std::string, std::string>> first;
    const std::lock_guard lock(mutex_);
    if (shown_)
      first.emplace_back("scene", std::string(shown_->facts->begin(), shown_->facts->end()));
    if (!history_.empty()) first.emplace_back("history", text_of(history_));
    return first;
  });
}

Viewer::~Viewer() { server_.stop(); }

void Viewer::serve_drawing() {
  // A request as JSON, and the scene of now: pages follow it by events.
  const auto scene_now = [this] {
    auto now = shown();
    if (!now || !now->scene.error.empty())
      throw Error(ExitCode::kData, "there is no scene to draw", "", "wait for it");
    return now;
  };
  const auto parsed = [](const Request& request) {
    return json::parse(request.body, nullptr, false);
  };
  // One after the other, as often as the share of the time allows.
  const auto drawn = [this](const Request& request, const auto& draw) {
    if (!drawing_.wait([&] { return request.abandoned(); })) return Response{};
    const double begin = wall_seconds();
    Response r = draw();
    const double seconds = wall_seconds() - begin;
    drawing_.spend(seconds);
    r.headers.emplace_back("X-Covary-Seconds", std::to_string(seconds));
    return r;
  };
  server_.post(
      "/api/frame",
      [=, this](const Request& request) {
        const FrameRequest asked = frame_request(parsed(request), most_pixels_);
        return drawn(request, [&] {
          Frame frame = scene_now()->painter().draw(asked);
          Response r =
              bytes_response(frame.type, std::make_shared<const Bytes>(std::move(frame.bytes)));
          if (frame.ranged) r.headers.emplace_back("X-Covary-Range", json(frame.range).dump());
          return r;
        });
      },
      kFrames);
  server_.post(
      "/api/pick",
      [=](const Request& request) {
        const json body = parsed(request);
        const FrameRequest asked = frame_request(body);
        const RequestFields fields(body);
        const double x = fields.number("x", 0, 0, asked.camera.width),
                     y = fields.number("y", 0, 0, asked.camera.height);
        return drawn(request, [&] {
          const Picked hit = scene_now()->painter().pick(asked, x, y);
          if (hit.row < 0) return json_response(200, "{}");
          return json_response(200, text_of({{"row", hit.row},
                                             {"weight", hit.weight},
                                             {"depth", hit.depth},
                                             {"mean", hit.mean},
                                             {"scale", hit.scale},
                                             {"quat", hit.quat},
                                             {"opacity", hit.opacity},
                                             {"color", hit.color}}));
        });
      },
      kFrames);
  if (!how_.films) return;
  server_.lane(kFilms, 1, "another video is being made");
  server_.post(
      "/api/film",
      [=, this](const Request& request) {
        const json body = parsed(request);
        const FilmRequest asked = film_request(body);
        const std::string id = RequestFields(body).text("id", "");
        const auto now = scene_now();
        double told = 0;
        std::vector<uint8_t> bytes = film(
            now->painter().primitives(), now->painter().antialiased(), asked, [&](int64_t done) {
              if (request.abandoned()) return false;
              if (wall_seconds() - told > 0.25 || done == asked.frames) {
                told = wall_seconds();
                server_.send_event("film",
                                   text_of({{"id", id}, {"done", done}, {"frames", asked.frames}}));
              }
              return true;
            });
        return bytes_response("video/mp4", std::make_shared<const Bytes>(std::move(bytes)));
      },
      kFilms, kMaxFilmRequest);
}

void Viewer::serve_files() {
  // The name says the kind where the content does not, and nothing else.
  const auto kind_of = [](const Request& request) {
    const auto given = request.query.find("name");
    return lower_extension(given == request.query.end() ? "" : given->second);
  };
  const auto too_many = [](int64_t rows) {
    return error_response(422,
                          std::to_string(rows) + " Gaussians are more than a page can hold (" +
                              std::to_string(kMaxSplats) + ")",
                          "covary view FILE draws them itself");
  };
  server_.upload(
      "/api/convert",
      [=](const Request& request) {
        const std::string kind = kind_of(request);
        bool known = false;
        for (const scene::SceneFormat& format : scene::scene_formats())
          for (const std::string& extension : format.extensions) known = known || extension == kind;
        std::filesystem::path file = request.file;
        if (known) {
          file += kind;
          std::filesystem::rename(request.file, file);
        }
        try {
          const scene::Cloud cloud = scene::load_cloud(file, {.not_finite = "drop"});
          if (cloud.size() > kMaxSplats) return too_many(cloud.size());
          return bytes_response(
              "application/octet-stream",
              std::make_shared<const Bytes>(encode_splats(cloud, importance_order(cloud))));
        } catch (const Error& e) {
          if (e.code() != ExitCode::kData) throw;
          return error_response(422, e.message(), e.hint());
        }
      },
      kFiles, kMostConverted,
      [=](const Request& request, std::string_view head,
          uint64_t bytes) -> std::optional<Response> {
        const auto rows = scene::claimed_rows(head, bytes, kind_of(request));
        if (rows && *rows > kMaxSplats) return too_many(*rows);
        return std::nullopt;
      });
}

std::shared_ptr<const Viewer::Shown> Viewer::shown() const {
  const std::lock_guard lock(mutex_);
  return shown_;
}

std::shared_ptr<const Viewer::Shown> Viewer::shown(const Request& request) const {
  const auto now = shown();
  const int64_t revision = request.number("revision", 0, int64_t{1} << 53);
  if (!now || now->revision != revision || !now->scene.error.empty())
    throw Error(ExitCode::kData, "the scene of this revision is gone", "", "load the page again");
  return now;
}

void Viewer::show(ViewedScene scene) {
  auto next = std::make_shared<Shown>();
  next->scene = std::move(scene);
  if (next->scene.error.empty()) {
    next->order = importance_order(next->scene.cloud);
    if (!how_.remote && next->order.size(0) <= kMaxSplats)
      next->splats = std::make_shared<const Bytes>(encode_splats(next->scene.cloud, next->order));
    next->cameras = bytes_of(text_of(scene::cameras_to_json(next->scene.cameras)));
  }
  json facts = facts_of(next->scene, next->order.defined() ? next->order.size(0) : 0);
  facts["live"] = static_cast<bool>(take_);
  facts["remote"] = how_.remote;
  facts["rows_sent"] = static_cast<bool>(next->splats);
  facts["files"] = how_.files;
  facts["most_pixels"] = most_pixels_.load();
  facts["films"] = how_.films && !data::find_program("ffmpeg").empty();
  std::string text;
  {
    const std::lock_guard lock(mutex_);
    facts.update(more_facts_);
    next->revision = ++revision_;
    facts["revision"] = next->revision;
    text = text_of(facts);
    next->facts = bytes_of(text);
    shown_ = std::move(next);
  }
  server_.send_event("scene", text);
}

void Viewer::progress(const json& figures) {
  {
    const std::lock_guard lock(mutex_);
    history_.push_back(figures);
    if (history_.size() > kMaxHistory) {  // every other one goes
      json thinned = json::array();
      for (size_t i = 0; i < history_.size(); i += 2) thinned.push_back(std::move(history_[i]));
      history_ = std::move(thinned);
    }
  }
  server_.send_event("progress", text_of(figures));
}

void Viewer::set_fact(const std::string& name, const json& value) {
  const std::lock_guard lock(mutex_);
  more_facts_[name] = value;
}

void Viewer::set_drawing_share(double share) { drawing_.set_share(share); }

void Viewer::on_command(std::function<void(const Command&)> take) {
  take_ = std::move(take);
  server_.post("/api/command", [this](const Request& request) {
    const json body = json::parse(request.body, nullptr, false);
    const RequestFields fields(body);
    Command command{.word = fields.text("do", "")};
    if (command.word == "cap") {
      const double most = fields.number("max_gaussians", 0, 1, 1e9);
      if (most < 1 || most != std::floor(most))
        fields.refuse("max_gaussians", "is no whole number from 1");
      command.max_gaussians = static_cast<int64_t>(most);
    } else if (command.word != "pause" && command.word != "resume" && command.word != "stop") {
      throw Error(ExitCode::kUsage, "this is no command", "",
                  R"(send {"do": "pause"}, "resume", "stop" or "cap")");
    }
    take_(command);
    return json_response(200, "{}");
  });
}

}  // namespace covary::serve
