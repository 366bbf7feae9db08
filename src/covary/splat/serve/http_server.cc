#include "covary/splat/serve/http_server.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <set>
#include <thread>

#include <nlohmann/json.hpp>

#include "covary/core/base/error.h"
#include "covary/core/base/log.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/base/threads.h"
#include "covary/splat/serve/connection_limits.h"

namespace covary::serve {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = net::ip::tcp;
using std::chrono::seconds;

constexpr size_t kMaxHeader = 16 << 10, kMaxTarget = 4 << 10;  // bytes
constexpr size_t kReadAtOnce = 64 << 10;                       // bytes
constexpr size_t kMaxDropped =
    16 << 20;  // bytes of a refused request that are read for the client's sake
constexpr size_t kCheckedHead = 64 << 10;      // bytes of a file that tell whether it is taken
constexpr size_t kPiece = 256 << 10;           // bytes written at a time
constexpr size_t kMaxWaitingEvents = 1 << 20;  // bytes for one client
constexpr int64_t kMaxConnections = 256, kMaxOfOneAddress = 32;
constexpr int64_t kMaxWaitingInLane = 64;
constexpr seconds kReadTime{10}, kWriteTime{30}, kHeartbeat{10}, kUploadTime{600};
constexpr int kPortsTried = 100;
constexpr size_t kShortestToken = 16;

// Programs that are started while it is open (ffmpeg) shall not hold it open.
void keep_from_children(int descriptor) { ::fcntl(descriptor, F_SETFD, FD_CLOEXEC); }

// Asio gives faults twice: where they are asked for, and as a value.
void unused(const boost::system::error_code&) {}

std::shared_ptr<const Bytes> bytes_of(const std::string& text) {
  return std::make_shared<Bytes>(text.begin(), text.end());
}

// Of a program's error: its text without the place, which may name files of this machine.
Response answer_of(const Error& e) {
  const int status = e.code() == ExitCode::kUsage ? 400 : e.code() == ExitCode::kData ? 404 : 500;
  return error_response(status, e.message(), e.hint());
}

// %41 to A, in a query also + to a space. Nothing for broken escapes and for control characters.
std::optional<std::string> decoded(std::string_view text, bool plus) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      unsigned value = 0;
      if (i + 2 >= text.size()) return std::nullopt;
      const auto [end, fault] = std::from_chars(&text[i + 1], &text[i + 1] + 2, value, 16);
      if (fault != std::errc() || end != &text[i + 1] + 2) return std::nullopt;
      c = static_cast<char>(value);
      i += 2;
    } else if (plus && c == '+') {
      c = ' ';
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
    out += c;
  }
  return out;
}

bool read_target(std::string_view target, Request& request) {
  if (target.empty() || target[0] != '/' || target.size() > kMaxTarget) return false;
  const size_t mark = target.find('?');
  const auto path = decoded(target.substr(0, mark), false);
  if (!path) return false;
  request.path = *path;
  std::string_view rest = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  while (!rest.empty()) {
    const size_t end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    rest = end == std::string_view::npos ? "" : rest.substr(end + 1);
    const size_t equal = pair.find('=');
    const auto name = decoded(pair.substr(0, equal), true);
    const auto value = decoded(equal == std::string_view::npos ? "" : pair.substr(equal + 1), true);
    if (!name || !value) return false;
    request.query.emplace(*name, *value);
  }
  return true;
}

// In a time that depends on the lengths alone.
bool same_secret(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^
                  static_cast<unsigned char>(b.empty() ? 0 : b[i % b.size()]);
  return difference == 0;
}

// The token among the cookies of a header. Cookies know no ports, so the name holds it.
std::string cookie_name(int port) { return "covary_token_" + std::to_string(port) + "="; }
std::string_view cookie_token(std::string_view cookies, const std::string& name) {
  while (!cookies.empty()) {
    const size_t end = cookies.find(';');
    std::string_view one = cookies.substr(0, end);
    cookies = end == std::string_view::npos ? "" : cookies.substr(end + 1);
    while (!one.empty() && one[0] == ' ') one.remove_prefix(1);
    if (one.substr(0, name.size()) == name) return one.substr(name.size());
  }
  return {};
}

net::ip::address address_of(const std::string& host) {
  if (host == "localhost") return net::ip::address_v4::loopback();
  boost::system::error_code fault;
  const net::ip::address address = net::ip::make_address(host, fault);
  if (fault)
    throw Error(ExitCode::kUsage, "'" + host + "' is no address", "--host",
                "write 127.0.0.1, or an address of this machine such as 0.0.0.0 for all");
  return address;
}

// A thread for handlers that take their time.
struct Lane {
  net::thread_pool pool{1};
  std::atomic<int64_t> waiting{0};  // requests, the one at work included
  int64_t most = kMaxWaitingInLane;
  std::string full = "too many ask for this at once";
};

struct Method {
  Handler handler;
  Lane* lane = nullptr;  // null: the serving thread
  uint64_t most_bytes = kSmallBody;
  bool file = false;  // the body is one
  FileCheck check = {};
};

struct Route {
  Method get, post;
  bool events = false;
};

// What is held while a client's file is read: the one place for it, and the folder.
class Upload {
 public:
  explicit Upload(std::shared_ptr<bool> busy) : busy_(std::move(busy)) { *busy_ = true; }
  ~Upload() { *busy_ = false; }
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  std::filesystem::path file() const { return folder_.path() / "scene"; }

 private:
  TemporaryFolder folder_{"upload"};  // first: where there is none, nobody is busy
  std::shared_ptr<bool> busy_;
};

class Session;

}  // namespace

struct HttpServer::State {
  HttpOptions options;
  int port = 0;
  std::map<std::string, Route> routes;
  std::function<std::vector<std::pair<std::string, std::string>>()> first_events;

  net::io_context io{1};
  tcp::acceptor acceptor{io};
  net::steady_timer retry{io}, heartbeat{io};
  std::map<std::string, Lane> lanes;
  std::thread thread;
  std::set<std::shared_ptr<Session>> open;  // on the serving thread alone, and the next two
  ConnectionLimits limits{kMaxConnections, kMaxOfOneAddress};
  std::shared_ptr<bool> uploading = std::make_shared<bool>(false);
  std::atomic<int64_t> connections{0}, event_clients{0};
  bool started = false, stopped = false;

  std::string authority(const std::string& name) const {
    return port == 80 ? name : name + ":" + std::to_string(port);  // as browsers write it
  }
  Lane* lane(const std::string& name);  // null for ""
  void accept();
  void take(tcp::socket socket);
  void beat();
  void tell(const std::shared_ptr<const std::string>& text);
};

namespace {

using State = HttpServer::State;

class Session : public std::enable_shared_from_this<Session> {
  // A step of this session, which holds it while it waits. Where a step fails (memory, at most), its client is let go.
  template <class F>
  auto guarded(F step) {
    return [self = shared_from_this(), step](auto&&... with) {
      try {
        step(std::forward<decltype(with)>(with)...);
      } catch (const std::exception& e) {
        log_warning(std::string("a client was dropped: ") + e.what());
        self->close();
      }
    };
  }

 public:
  Session(tcp::socket socket, std::string address, State& state)
      : stream_(std::move(socket)), address_(std::move(address)), state_(state) {}

  void read() {
    header_parser_.emplace();
    header_parser_->header_limit(kMaxHeader);
    header_parser_->body_limit(
        std::numeric_limits<uint64_t>::max());  // what is too much depends on the route
    request_ = {};
    stream_.expires_after(kReadTime);
    http::async_read_header(stream_, buffer_, *header_parser_,
                            guarded([this](beast::error_code fault, size_t) { on_header(fault); }));
  }

  void close() {
    beast::error_code ignored;
    unused(stream_.socket().shutdown(tcp::socket::shutdown_both, ignored));
    stream_.close();
    if (left_) *left_ = true;
    if (events_) --state_.event_clients;
    events_ = false;
    if (state_.open.erase(shared_from_this()) > 0) {
      --state_.connections;
      state_.limits.release(address_);
    }
  }

  bool waits_for_events() const { return events_; }

  void push(std::shared_ptr<const std::string> text) {
    waiting_bytes_ += text->size();
    if (waiting_bytes_ > kMaxWaitingEvents) return close();
    waiting_.push_back(std::move(text));
    if (waiting_.size() == 1) write_event();
  }

 private:
  void on_header(beast::error_code fault) {
    // Whoever takes too long is let go: the socket is closed already.
    if (fault == http::error::end_of_stream || fault == net::error::operation_aborted ||
        fault == beast::error::timeout)
      return close();
    keep_alive_ = false;
    head_ = false;
    if (fault && !is_ours(fault)) return close();
    if (fault) return refuse(fault);

    const auto& m = header_parser_->get();
    const bool keeps_alive = m.keep_alive();
    head_ = m.method() == http::verb::head;
    request_.method = std::string(m.method_string());
    if (!read_target({m.target().data(), m.target().size()}, request_))
      return reply(error_response(400, "the address cannot be read"));
    // An early answer leaves the body unread, and then nothing can follow on this connection.
    keep_alive_ = keeps_alive && header_parser_->is_done();
    if (std::optional<Response> refusal = refused(m)) return reply(std::move(*refusal));

    const auto route = state_.routes.find(request_.path);
    if (route == state_.routes.end())
      return reply(error_response(404, "there is nothing at this address"));
    const bool reads = m.method() == http::verb::get || head_;
    const bool posts = m.method() == http::verb::post;
    const Method& method = posts ? route->second.post : route->second.get;
    if (!(reads || posts) || (!method.handler && !(reads && route->second.events))) {
      Response r = error_response(405, "this address does not take " + request_.method);
      r.headers.emplace_back("Allow", route->second.post.handler ? "POST" : "GET, HEAD");
      return reply(std::move(r));
    }
    const auto length = header_parser_->content_length();
    if (length && *length > method.most_bytes)
      return reply(
          error_response(413, method.file ? "the file is too large" : "the body is too large"));
    keep_alive_ = keeps_alive;
    const bool events = reads && route->second.events;
    if (header_parser_->is_done())
      return method.file ? reply(error_response(400, "there is no file")) : respond(method, events);
    if (method.file) return read_file(method);
    body_parser_.emplace(std::move(*header_parser_));
    body_parser_->body_limit(method.most_bytes);
    http::async_read(stream_, buffer_, *body_parser_,
                     guarded([this, &method, events](beast::error_code body_fault, size_t) {
                       if (body_fault) {
                         keep_alive_ = false;
                         return is_ours(body_fault) ? refuse(body_fault) : close();
                       }
                       request_.body = std::move(body_parser_->get().body());
                       respond(method, events);
                     }));
  }

  void respond(const Method& method, bool events) {
    if (events && !head_) return begin_events();
    if (events) return reply(Response{});
    work(method);
  }

  // Faults of what was sent, not of the connection.
  static bool is_ours(beast::error_code fault) {
    return fault.category() == http::make_error_code(http::error::bad_method).category() &&
           fault != http::error::end_of_stream && fault != http::error::partial_message;
  }

  void refuse(beast::error_code fault) {
    if (fault == http::error::header_limit)
      return reply(error_response(431, "the headers are too large"));
    if (fault == http::error::body_limit)
      return reply(error_response(413, "the body is too large"));
    reply(error_response(400, "this is no HTTP request"));
  }

  // The body goes to a file as it comes.
  void read_file(const Method& method) {
    if (*state_.uploading) {
      keep_alive_ = false;
      return reply(error_response(503, "another file is being read", "try again in a moment"));
    }
    upload_ = std::make_shared<Upload>(state_.uploading);
    file_parser_.emplace(std::move(*header_parser_));
    file_parser_->body_limit(method.most_bytes);
    beast::error_code fault;
    file_parser_->get().body().open(upload_->file().c_str(), beast::file_mode::write_new, fault);
    if (fault) {
      keep_alive_ = false;
      upload_.reset();
      return reply(error_response(500, "no temporary file can be written"));
    }
    upload_ends_ = std::chrono::steady_clock::now() + kUploadTime;
    checked_ = !method.check;
    read_piece(method);
  }

  // Once enough of the file is there to tell. False: it was refused.
  bool passes(const Method& method) {
    std::error_code unseen;
    const bool enough = std::filesystem::file_size(upload_->file(), unseen) >= kCheckedHead;
    if (checked_ || !(enough || file_parser_->is_done())) return true;
    checked_ = true;
    std::string head(kCheckedHead, 0);
    std::ifstream in(upload_->file(), std::ios::binary);
    in.read(head.data(), static_cast<std::streamsize>(head.size()));
    head.resize(static_cast<size_t>(in.gcount()));
    std::optional<Response> refusal =
        method.check(request_, head, file_parser_->content_length().value_or(0));
    if (!refusal) return true;
    keep_alive_ = keep_alive_ && file_parser_->is_done();
    file_parser_.reset();
    upload_.reset();
    reply(std::move(*refusal));
    return false;
  }

  void read_piece(const Method& method) {
    if (!passes(method)) return;
    if (file_parser_->is_done()) {
      file_parser_->get().body().close();
      request_.file = upload_->file();
      file_parser_.reset();
      return work(method);
    }
    stream_.expires_at(std::min(std::chrono::steady_clock::now() + kReadTime, upload_ends_));
    http::async_read_some(stream_, buffer_, *file_parser_,
                          guarded([this, &method](beast::error_code fault, size_t) {
                            if (!fault) return read_piece(method);
                            keep_alive_ = false;
                            file_parser_.reset();
                            upload_.reset();
                            if (is_ours(fault)) return refuse(fault);
                            close();
                          }));
  }

  void work(const Method& method) {
    Lane* lane = method.lane;
    if (!lane) return reply(answer(method.handler, request_));
    if (lane->waiting >= lane->most)
      return reply(error_response(503, lane->full, "try again in a moment"));
    stream_.expires_never();
    left_ = std::make_shared<std::atomic<bool>>(false);
    request_.left = left_;
    ++lane->waiting;
    net::post(lane->pool, [self = shared_from_this(), lane, &handler = method.handler] {
      Response r = self->request_.abandoned() ? Response{} : answer(handler, self->request_);
      --lane->waiting;
      net::post(self->state_.io, self->guarded([self = self.get(), r = std::move(r)]() {
        self->left_.reset();
        self->upload_.reset();
        if (self->stream_.socket().is_open()) self->reply(r);
      }));
    });
    watch();
  }

  // While a lane works, the client may leave: then there is something to read, and it is the end. What it sends before
  // that is dropped, for the end lies behind it, and so nothing can follow on this connection.
  void watch() {
    stream_.socket().async_wait(
        tcp::socket::wait_read, guarded([this, work = left_](beast::error_code fault) {
          if (fault || !left_ || left_ != work) return;
          const ssize_t n = ::recv(stream_.socket().native_handle(), scratch_.data(),
                                   scratch_.size(), MSG_DONTWAIT);
          if (n > 0) {
            keep_alive_ = false;
            dropped_ += static_cast<size_t>(n);
            if (dropped_ > kMaxHeader) return close();
            return watch();
          }
          if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return watch();
          close();
        }));
  }

  static Response answer(const Handler& handler, const Request& request) {
    try {
      return handler(request);
    } catch (const Error& e) {
      return answer_of(e);
    } catch (const std::exception& e) {
      log_warning(request.path + ": " + e.what());
      return error_response(500, "the program failed to answer", "its terminal says more");
    }
  }

  template <class Message>
  std::optional<Response> refused(const Message& m) {
    const auto field = [&](http::field name) {
      const auto found = m.find(name);
      return found == m.end() ? std::string()
                              : std::string(found->value().data(), found->value().size());
    };
    const std::string host = field(http::field::host);
    if (state_.options.token.empty()) {
      const bool ours =
          host == state_.authority("127.0.0.1") || host == state_.authority("localhost") ||
          host == state_.authority("[::1]") || host == state_.authority(state_.options.host);
      if (!ours) return error_response(421, "this server does not answer to that name");
    } else {
      const auto given = request_.query.find("token");
      const bool by_query =
          given != request_.query.end() && same_secret(given->second, state_.options.token);
      if (by_query)
        set_cookie_ = true;
      else if (!same_secret(cookie_token(field(http::field::cookie), cookie_name(state_.port)),
                            state_.options.token))
        return error_response(401, "this scene asks for its token",
                              "open the address that covary view printed, with ?token=");
    }
    if (m.method() == http::verb::post) {
      const std::string origin = field(http::field::origin);
      if (origin != "http://" + host)
        return error_response(403, "only the page of this server may send commands");
    }
    return std::nullopt;
  }

  // Status line and headers; the body follows in pieces.
  std::string head_of(const Response& r, bool stays_open) {
    const size_t bytes = r.body ? r.body->size() : 0;
    std::string text = "HTTP/1.1 " + std::to_string(r.status) + " " +
                       std::string(http::obsolete_reason(static_cast<http::status>(r.status))) +
                       "\r\nContent-Type: " + r.type + "\r\n";
    if (!stays_open) text += "Content-Length: " + std::to_string(bytes) + "\r\n";
    text += std::string("Connection: ") + (keep_alive_ ? "keep-alive" : "close") + "\r\n";
    text +=
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: "
        "no-referrer\r\nX-Frame-Options: DENY\r\nCross-Origin-Resource-Policy: same-origin\r\n"
        "Cross-Origin-Opener-Policy: same-origin\r\n";
    text += "Content-Security-Policy: " +
            (state_.options.content_policy.empty() ? "default-src 'none'; frame-ancestors 'none'"
                                                   : state_.options.content_policy) +
            "\r\n";
    if (set_cookie_)
      text += "Set-Cookie: " + cookie_name(state_.port) + state_.options.token +
              "; Path=/; HttpOnly; SameSite=Strict\r\n";
    for (const auto& [name, value] : r.headers) text += name + ": " + value + "\r\n";
    return text + "\r\n";
  }

  void reply(Response r) {
    response_ = std::move(r);
    header_ = head_of(response_, false);
    set_cookie_ = false;
    sent_ = 0;
    stream_.expires_after(kWriteTime);
    net::async_write(stream_, net::buffer(header_),
                     guarded([this](beast::error_code fault, size_t) {
                       if (fault) return close();
                       write_body();
                     }));
  }

  void write_body() {
    const size_t bytes = response_.body && !head_ ? response_.body->size() : 0;
    if (sent_ == bytes) {
      response_ = {};
      if (keep_alive_) return read();
      return linger();
    }
    const size_t piece = std::min(kPiece, bytes - sent_);
    stream_.expires_after(kWriteTime);
    net::async_write(stream_, net::buffer(response_.body->data() + sent_, piece),
                     guarded([this, piece](beast::error_code fault, size_t) {
                       if (fault) return close();
                       sent_ += piece;
                       write_body();
                     }));
  }

  // After a refusal the client may still be sending; closing at once would take the answer away from it. What
  // comes is read and dropped for a moment.
  void linger() {
    beast::error_code ignored;
    unused(stream_.socket().shutdown(tcp::socket::shutdown_send, ignored));
    stream_.expires_after(seconds(2));
    drop();
  }
  void drop() {
    stream_.async_read_some(net::buffer(scratch_),
                            guarded([this](beast::error_code fault, size_t n) {
                              dropped_ += n;
                              if (fault || dropped_ > kMaxDropped) return close();
                              drop();
                            }));
  }

  void begin_events() {
    keep_alive_ = false;
    Response r;
    r.type = "text/event-stream";
    std::string text = head_of(r, true);
    if (state_.first_events)
      for (const auto& [name, data] : state_.first_events())
        text += "event: " + name + "\ndata: " + data + "\n\n";
    events_ = true;
    ++state_.event_clients;
    stream_.expires_never();
    listen();
    push(std::make_shared<std::string>(std::move(text)));
  }

  // A client of events has nothing more to say: reading tells when it leaves.
  void listen() {
    stream_.async_read_some(net::buffer(scratch_),
                            guarded([this](beast::error_code fault, size_t n) {
                              dropped_ += n;
                              if (fault || dropped_ > kMaxHeader) return close();
                              listen();
                            }));
  }

  void write_event() {
    stream_.expires_after(kWriteTime);
    net::async_write(stream_, net::buffer(*waiting_.front()),
                     guarded([this](beast::error_code fault, size_t) {
                       if (fault || !events_) return close();
                       waiting_bytes_ -= waiting_.front()->size();
                       waiting_.pop_front();
                       if (!waiting_.empty()) write_event();
                     }));
  }

  beast::tcp_stream stream_;
  std::string address_;  // as it is counted
  State& state_;
  beast::flat_buffer buffer_{kMaxHeader + kReadAtOnce};
  std::optional<http::request_parser<http::empty_body>> header_parser_;
  std::optional<http::request_parser<http::string_body>> body_parser_;
  std::optional<http::request_parser<http::file_body>> file_parser_;
  std::shared_ptr<Upload> upload_;
  std::chrono::steady_clock::time_point upload_ends_;
  std::shared_ptr<std::atomic<bool>> left_;  // while a lane works
  Request request_;
  Response response_;
  std::string header_;
  std::array<char, 1024> scratch_{};
  size_t sent_ = 0, dropped_ = 0, waiting_bytes_ = 0;
  bool keep_alive_ = false, head_ = false, events_ = false, set_cookie_ = false;
  bool checked_ = false;  // the file that comes
  std::deque<std::shared_ptr<const std::string>> waiting_;
};

}  // namespace

Lane* HttpServer::State::lane(const std::string& name) {
  return name.empty() ? nullptr : &lanes[name];
}

void HttpServer::State::accept() {
  acceptor.async_accept([this](boost::system::error_code fault, tcp::socket socket) {
    if (!acceptor.is_open()) return;  // stopped, perhaps just behind a connection that came
    bool short_of_room =
        static_cast<bool>(fault);  // no more files may be opened: some client will leave
    try {
      if (!fault) take(std::move(socket));
    } catch (const std::exception& e) {  // of memory: this client is lost, others still come
      log_warning(std::string("a client was not taken: ") + e.what());
      short_of_room = true;
    }
    if (!short_of_room) return accept();
    retry.expires_after(std::chrono::milliseconds(100));
    retry.async_wait([this](boost::system::error_code stopped_waiting) {
      if (!stopped_waiting && acceptor.is_open()) accept();
    });
  });
}

void HttpServer::State::take(tcp::socket socket) {
  boost::system::error_code gone;
  const net::ip::address from = socket.remote_endpoint(gone).address();
  if (gone) return;
  std::string address = counted_address(from.to_string());
  if (!limits.admit(address, from.is_loopback())) return;
  std::shared_ptr<Session> session;
  try {
    boost::system::error_code ignored;
    unused(socket.set_option(tcp::no_delay(true), ignored));
    keep_from_children(socket.native_handle());
    session = std::make_shared<Session>(std::move(socket), address, *this);
    open.insert(session);
  } catch (...) {
    limits.release(address);
    throw;
  }
  ++connections;
  try {
    session->read();
  } catch (...) {
    session->close();
    throw;
  }
}

void HttpServer::State::beat() {
  heartbeat.expires_after(kHeartbeat);
  heartbeat.async_wait([this](boost::system::error_code fault) {
    if (fault || !acceptor.is_open()) return;
    tell(std::make_shared<const std::string>(": still here\n\n"));
    beat();
  });
}

void HttpServer::State::tell(const std::shared_ptr<const std::string>& text) {
  const std::set<std::shared_ptr<Session>> now = open;  // push may close one
  for (const auto& session : now)
    if (session->waits_for_events()) session->push(text);
}

int64_t Request::number(const std::string& name, int64_t low, int64_t high) const {
  const auto found = query.find(name);
  const std::string text = found == query.end() ? "" : found->second;
  int64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || value < low || value > high)
    throw Error(ExitCode::kUsage, name + " must be a whole number from " + std::to_string(low) +
                                      " to " + std::to_string(high));
  return value;
}

Response error_response(int status, const std::string& what, const std::string& hint) {
  return json_response(status, nlohmann::json{{"error", {{"what", what}, {"hint", hint}}}}.dump(
                                   -1, ' ', false, nlohmann::json::error_handler_t::replace));
}
Response json_response(int status, const std::string& text) {
  return {status, "application/json", bytes_of(text)};
}
Response bytes_response(const std::string& type, std::shared_ptr<const Bytes> body) {
  return {200, type, std::move(body)};
}

bool is_loopback(const std::string& host) { return address_of(host).is_loopback(); }

std::string random_token() {
  std::array<unsigned char, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw Error(ExitCode::kFailed, "the system gives no random numbers", "--token",
                "write a token of your own");
  std::string text;
  for (const unsigned char b : bytes) {
    text += "0123456789abcdef"[b >> 4];
    text += "0123456789abcdef"[b & 15];
  }
  return text;
}

void HttpOptions::check() const {
  if (port < 0 || port > 65535)
    throw Error(ExitCode::kUsage, "is no port", "--port", "write a number from 0 to 65535");
  for (const char c : token)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_')
      throw Error(ExitCode::kUsage, "may hold letters, digits, - and _", "--token",
                  "write --token auto for a random one");
  if (!token.empty() && token.size() < kShortestToken)
    throw Error(ExitCode::kUsage, "is shorter than 16 characters", "--token",
                "write --token auto for a random one");
  if (!is_loopback(host) && token.empty())
    throw Error(ExitCode::kUsage, "others than this machine could look at the scene", "--host",
                "add --token auto; the address that is printed then holds it");
}

HttpServer::HttpServer(const HttpOptions& options) : state_(std::make_shared<State>()) {
  options.check();
  State& s = *state_;
  s.options = options;
  const net::ip::address address = address_of(options.host);
  boost::system::error_code fault;
  const int tries = options.next_free && options.port > 0 ? kPortsTried : 0;
  for (int k = 0; k <= tries && options.port + k <= 65535; ++k) {
    const tcp::endpoint end(address, static_cast<unsigned short>(options.port + k));
    fault.clear();
    unused(s.acceptor.open(end.protocol(), fault));
    if (!fault) unused(s.acceptor.set_option(net::socket_base::reuse_address(true), fault));
    if (!fault) unused(s.acceptor.bind(end, fault));
    if (!fault) unused(s.acceptor.listen(net::socket_base::max_listen_connections, fault));
    if (!fault) break;
    boost::system::error_code ignored;
    unused(s.acceptor.close(ignored));
    if (fault != net::error::address_in_use && fault != net::error::access_denied) break;
  }
  if (fault)
    throw Error(ExitCode::kData, "cannot be listened at: " + fault.message(),
                options.host + ":" + std::to_string(options.port),
                "choose another --port, or another --host");
  keep_from_children(s.acceptor.native_handle());
  s.port = s.acceptor.local_endpoint().port();
}

HttpServer::~HttpServer() { stop(); }

void HttpServer::get(const std::string& path, Handler handler, const std::string& lane) {
  state_->routes[path].get = {std::move(handler), state_->lane(lane)};
}
void HttpServer::post(const std::string& path, Handler handler, const std::string& lane,
                      size_t most_bytes) {
  state_->routes[path].post = {std::move(handler), state_->lane(lane), most_bytes};
}
void HttpServer::lane(const std::string& name, int64_t most, const std::string& what) {
  Lane* lane = state_->lane(name);
  lane->most = most;
  lane->full = what;
}
void HttpServer::upload(const std::string& path, Handler handler, const std::string& lane,
                        uint64_t most_bytes, FileCheck check) {
  state_->routes[path].post = {std::move(handler), state_->lane(lane), most_bytes, true,
                               std::move(check)};
}
void HttpServer::events(const std::string& path,
                        std::function<std::vector<std::pair<std::string, std::string>>()> first) {
  state_->routes[path].events = true;
  state_->first_events = std::move(first);
}

void HttpServer::start() {
  State& s = *state_;
  s.started = true;
  const int loops =
      s.options.lane_threads > 0 ? static_cast<int>(s.options.lane_threads) : threads();
  for (auto& [name, lane] : s.lanes) net::post(lane.pool, [loops] { set_threads(loops); });
  s.accept();
  s.beat();
  s.thread = std::thread([&s] {
    for (;;) {
      try {
        s.io.run();
        return;
      } catch (const std::exception& e) {  // memory, at most: one client is lost, not the server
        log_warning(std::string("a client was dropped: ") + e.what());
      }
    }
  });
}

void HttpServer::stop() {
  State& s = *state_;
  if (s.stopped) return;
  s.stopped = true;
  if (s.started) {
    net::post(s.io, [&s] {
      boost::system::error_code ignored;
      unused(s.acceptor.close(ignored));
      s.heartbeat.cancel();
      s.retry.cancel();
      const std::set<std::shared_ptr<Session>> now = s.open;
      for (const auto& session : now) session->close();
    });
    for (auto& [name, lane] :
         s.lanes) {  // what waits is dropped with its client, and what it answers
      lane.pool.stop();
      lane.pool.join();
    }
    s.thread.join();
  }
}

void HttpServer::send_event(const std::string& name, const std::string& data) {
  auto text = std::make_shared<const std::string>("event: " + name + "\ndata: " + data + "\n\n");
  net::post(state_->io, [state = state_.get(), text] { state->tell(text); });
}

int HttpServer::port() const { return state_->port; }

std::string HttpServer::address() const {
  const State& s = *state_;
  std::string host = s.options.host;
  if (host == "0.0.0.0" || host == "::") host = net::ip::host_name();
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return "http://" + s.authority(host) + "/" +
         (s.options.token.empty() ? "" : "?token=" + s.options.token);
}

int64_t HttpServer::connections() const { return state_->connections; }
int64_t HttpServer::event_clients() const { return state_->event_clients; }

}  // namespace covary::serve
