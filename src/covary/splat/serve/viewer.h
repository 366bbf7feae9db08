// A scene in the browser: the page, the scene's bytes, its cameras and photos, and what changes while one looks.
//
//   Viewer viewer({.port = 7007});
//   viewer.show({.name = "fox", .cloud = cloud, .cameras = read_cameras("out/fox/cameras.json")});
//   viewer.start();
//   open(viewer.address());                     // http://127.0.0.1:7007/
//   viewer.show(later);                         // pages that are open take the new one
//   viewer.progress({{"step", 100}, {"loss", 0.03}});
//
// Addresses, all GET but where POST is said:
//   /  /viewer.js  /viewer.css    the page
//   /api/scene                    facts, JSON: revision, name, note, count, columns, a middle ball, up, background
//   /api/splats?revision=R        the rows (splat_stream.h); 404 when the scene is another by now
//   /api/column?revision=R&name=  f32 a row, in the order of the rows
//   /api/cameras?revision=R       a cameras.json (scene/cameras_json.h)
//   /api/photo?revision=R&camera=I   the photo of a camera, PNG, undistorted, at the size of its camera
//   /api/events                   server-sent: scene (facts), progress (JSON)
//   /api/frame                    POST a request of frames.h: a picture of the scene of now, drawn here; JPEG or PNG
//   /api/pick                     POST the same with "x", "y": the Gaussian that this pixel shows, JSON; {} = none
//   /api/film                     POST a request of film.h with "id": an mp4, one at a time; events "film" tell how far it is;
//                                 it ends when the connection does
//   /api/convert?name=a.spz       POST a scene file: its rows (splat_stream.h); it is forgotten then. 422 for a file that is no
//                                 scene, or holds more rows than a page
//   /api/command                  POST {"do": "pause"|"resume"|"stop"} or {"do": "cap", "max_gaussians": N}, where somebody
//                                 takes them
// Several pages may look at once; each is sent the same bytes, which exist once. Frames, videos, files and photos have a
// thread (a lane) each: http_server.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include <nlohmann/json.hpp>

#include "covary/core/data/image.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/cloud.h"
#include "covary/splat/serve/allowance.h"
#include "covary/splat/serve/frames.h"
#include "covary/splat/serve/http_server.h"

namespace covary::serve {

struct ViewedScene {
  std::string name = "scene", note = "";  // note: what a person should know, "not finished: ..."
  scene::Cloud cloud = {};
  scene::CameraFile cameras = {};  // may be empty; in the cloud's frame
  // The photo that a camera belongs to; called on one thread at a time. Empty: there are no photos.
  std::function<data::Image8(const scene::NamedCamera&)> photo = {};
  std::string error = "";  // instead of a scene: why there is none; the page says it
};

// What the page is told of a scene, without revision: see /api/scene.
nlohmann::json facts_of(const ViewedScene& scene, int64_t rows);

constexpr uint64_t kMostConverted =
    (uint64_t{1} << 31) - 1;  // bytes of a scene file that a page sends

struct ViewerOptions {
  bool remote = false;  // pages show pictures drawn here, also where they could draw
  bool films = true;    // videos are made
  bool files = true;    // scene files that a page sends are read
  double drawing = 1;   // share of the time that drawing for pages takes at most, in (0, 1]
  int64_t most_pixels = kMostFramePixels;  // of a picture that is drawn for a page
};

// What a page asks of a training.
struct Command {
  std::string word;           // pause, resume, stop, cap
  int64_t max_gaussians = 0;  // of cap, 1 or more
};

class Viewer {
 public:
  explicit Viewer(HttpOptions options, ViewerOptions how = {});  // binds; errors as HttpServer
  ~Viewer();

  void show(ViewedScene scene);  // from any thread
  // Figures of a training: any numbers; "step" and "steps" are drawn as the time axis. From any thread.
  void progress(const nlohmann::json& figures);
  // Takes what the page sends, on the serving thread; an Error is told to the page. Before start().
  void on_command(std::function<void(const Command&)> take);
  // Of what facts say, beside those of the scene; from the next scene on. From any thread.
  void set_fact(const std::string& name, const nlohmann::json& value);
  void set_drawing_share(double share);  // see ViewerOptions::drawing; from any thread
  // See ViewerOptions::most_pixels; pages are told with the next scene. From any thread.
  void set_most_pixels(int64_t most) { most_pixels_ = most; }

  void start() { server_.start(); }
  void stop() { server_.stop(); }
  std::string address() const { return server_.address(); }
  int port() const { return server_.port(); }
  const HttpServer& server() const { return server_; }

 private:
  struct Shown;
  void serve_drawing();
  void serve_files();
  std::shared_ptr<const Shown> shown() const;
  std::shared_ptr<const Shown> shown(const Request& request) const;  // of its revision

  ViewerOptions how_;
  Allowance drawing_;
  std::atomic<int64_t> most_pixels_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Shown> shown_;
  int64_t revision_ = 0;
  nlohmann::json history_ = nlohmann::json::array();  // of progress, thinned
  nlohmann::json more_facts_ = nlohmann::json::object();
  std::function<void(const Command&)> take_;
  HttpServer server_;  // last: its threads end before the rest goes
};

}  // namespace covary::serve
