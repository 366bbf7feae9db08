// A small HTTP/1.1 server for one page and its data, where many clients may be idle, slow or hostile.
//
//   HttpServer server({.port = 7007});                    // binds; the next free port if that is taken
//   server.get("/api/scene", [](const Request&) { return json_response(200, "{}"); });
//   server.start();                                       // a thread of its own
//   server.send_event("progress", "{\"step\": 100}");     // to every open /api/events
//   server.stop();                                        // closes all; the destructor does the same
//
// All sockets are served by one thread, which never waits for one of them, so a client that drips bytes costs a timer
// and some kilobytes. Handlers run on that thread and must be quick; those of a route with a lane run on the thread of
// that lane, one after the other, and are not begun for a client that has left by then. Handlers throw Error (answered as
// JSON with its message and hint, by its code) or return a Response. A route is an exact path: nothing below the file
// system can be named.
//
// Bounds: 16 KB of headers, 4 KB of target, 64 KB of body where the route names no other, 10 s to send a request, 30 s
// without progress to take 256 KB of an answer, 256 connections and of one address, beyond loopback, 32, 64 requests that
// wait in a lane, 1 MB of events that wait for one client. Files are taken one at a time, 10 s without progress and 10
// minutes in all. While a lane works for a client, what that sends is dropped, 16 KB at most, and the connection ends with
// the answer. What is beyond a bound gets 400, 405, 413, 431 or 503, or is closed.
//
// Who may ask: on a loopback address, whoever names that address in Host (so that no page elsewhere reaches it by a name that
// it lets point here). With a token, whoever brings it: as ?token=WORD once, which sets a cookie, or as the cookie. A POST
// must come from a page of this server (Origin). That is settled by the headers, before a body is read. Every answer forbids sniffing, framing and anything fetched from elsewhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace covary::serve {

using Bytes = std::vector<uint8_t>;

struct Request {
  std::string method, path;                  // path: decoded, without the query
  std::map<std::string, std::string> query;  // decoded; of a name that comes twice, the first
  std::string body;                          // of an upload: empty, it lies in `file`
  std::filesystem::path file = {};           // in a private folder that goes with the request
  // Set once the client has left while a lane works for it: nobody waits for the answer.
  std::shared_ptr<const std::atomic<bool>> left = {};
  bool abandoned() const { return left && *left; }

  // A whole number of the query, from low to high; Error(kUsage) when it is missing or something else.
  int64_t number(const std::string& name, int64_t low, int64_t high) const;
};

struct Response {
  int status = 200;
  std::string type = "application/json";
  std::shared_ptr<const Bytes> body = {};  // shared by all that are sent it; null = empty
  std::vector<std::pair<std::string, std::string>> headers = {};
};
Response json_response(int status, const std::string& text);
// {"error": {"what", "hint"}}, as for an Error that a handler throws.
Response error_response(int status, const std::string& what, const std::string& hint = "");
Response bytes_response(const std::string& type, std::shared_ptr<const Bytes> body);

using Handler = std::function<Response(const Request&)>;

// The first bytes of a file that is being sent, and how many it has as its client says (0: that is not said).
using FileCheck = std::function<std::optional<Response>(const Request& request,
                                                        std::string_view head, uint64_t bytes)>;

constexpr size_t kSmallBody = 64 << 10;  // bytes

struct HttpOptions {
  std::string host = "127.0.0.1";  // an address of this machine, or localhost
  int64_t port = 7007;             // 0 = any
  bool next_free = true;           // try the 100 ports above one that is taken
  std::string token = "";          // needed beyond loopback
  std::string content_policy =
      "";  // the Content-Security-Policy of every answer; empty = nothing may be loaded
  int64_t lane_threads =
      0;  // of parallel loops in a lane; 0 = as many as the thread that makes the server has

  // Error(kUsage): no address, a port out of range, no token (or one of under 16 characters) beyond loopback.
  void check() const;
};

// Whether an address (or localhost) is of this machine alone; Error(kUsage) when it is no address.
bool is_loopback(const std::string& host);
// 32 hex digits from the system's generator.
std::string random_token();

class HttpServer {
 public:
  // Binds and listens. Error(kData) when no port is free, or the address is not of this machine.
  explicit HttpServer(const HttpOptions& options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Before start(). A GET route answers HEAD as well. lane: the name of one; empty: the serving thread.
  void get(const std::string& path, Handler handler, const std::string& lane = "");
  void post(const std::string& path, Handler handler, const std::string& lane = "",
            size_t most_bytes = kSmallBody);
  // So many requests at once in a lane, the one at work included; more are answered 503 with `what`. Before start().
  void lane(const std::string& name, int64_t most, const std::string& what);
  // A POST whose body is a file, of up to most_bytes. check: asked once, on the serving thread, when the first 64 KB have come (or
  // all): what it gives is the answer, and the rest is not taken in.
  void upload(const std::string& path, Handler handler, const std::string& lane,
              uint64_t most_bytes, FileCheck check = {});
  // A GET that stays open; `first`: the events that a new client gets at once, as (name, JSON).
  void events(const std::string& path,
              std::function<std::vector<std::pair<std::string, std::string>>()> first);

  void start();
  void stop();

  // To all clients of events(), from any thread. data: one line.
  void send_event(const std::string& name, const std::string& data);

  int port() const;
  std::string address() const;    // http://127.0.0.1:7007/ with the token, if any
  int64_t connections() const;    // open now
  int64_t event_clients() const;  // of them, waiting for events

  struct State;  // of the implementation

 private:
  std::shared_ptr<State> state_;
};

}  // namespace covary::serve
