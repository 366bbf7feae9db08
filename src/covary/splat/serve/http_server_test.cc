#include "covary/splat/serve/http_server.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>
#include <vector>

#include "covary/core/base/error.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/random.h"
#include "covary/splat/serve/test_client.h"

namespace covary::serve {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

constexpr size_t kLarge = 3 << 20;     // bytes of /large: many pieces
constexpr size_t kMostKept = 1 << 20;  // bytes that /keep takes

// A server with a route of each kind.
class HttpServerTest : public testing::Test {
 protected:
  explicit HttpServerTest(HttpOptions options = {.port = 0}) : server(options) {
    server.get("/hello", [](const Request&) { return json_response(200, "\"hello\""); });
    server.get("/large", [body = std::make_shared<const Bytes>(kLarge, uint8_t{'x'})](
                             const Request&) { return bytes_response("text/plain", body); });
    server.get("/number", [](const Request& r) {
      return json_response(200, std::to_string(r.number("n", 0, 99)));
    });
    server.get("/fails", [](const Request&) -> Response { throw std::runtime_error("secret"); });
    server.get("/missing", [](const Request&) -> Response {
      throw Error(ExitCode::kData, "is not there", "/home/somebody/file", "look elsewhere");
    });
    server.get(
        "/slow",
        [](const Request&) {
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          return json_response(200, "\"slow\"");
        },
        "slow");
    server.get(
        "/until-left",
        [this](const Request& r) {
          ++begun;
          while (!r.abandoned()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
          ++left;
          return json_response(200, "{}");
        },
        "patient");
    server.post("/say", [this](const Request& r) {
      said = r.body;
      return json_response(200, "{}");
    });
    server.upload(
        "/keep",
        [this](const Request& r) {
          kept = r.file;
          return json_response(200, std::to_string(std::filesystem::file_size(r.file)));
        },
        "slow", kMostKept);
    server.events("/events", [] {
      return std::vector<std::pair<std::string, std::string>>{{"first", "{\"a\": 1}"}};
    });
    server.start();
  }

  std::string get(const std::string& target, const std::string& headers = "") {
    return ask(server.port(), "GET", target, headers);
  }
  bool alive() { return status_of(get("/hello")) == 200; }

  std::string ours() const {
    return "Origin: http://127.0.0.1:" + std::to_string(server.port()) + "\r\n";
  }

  std::string said;
  std::filesystem::path kept;
  std::atomic<int> begun{0}, left{0};
  HttpServer server;
};

TEST_F(HttpServerTest, AnswersWithHeadersThatForbidSniffingAndFraming) {
  const std::string answer = get("/hello");
  EXPECT_EQ(status_of(answer), 200);
  EXPECT_EQ(body_of(answer), "\"hello\"");
  EXPECT_THAT(answer, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Security-Policy: default-src 'none'"));
  EXPECT_THAT(answer, HasSubstr("X-Frame-Options: DENY\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("Access-Control-Allow-Origin")));
}

TEST_F(HttpServerTest, SendsLargeBodiesWholeAndHeadWithoutOne) {
  EXPECT_EQ(body_of(get("/large")), std::string(kLarge, 'x'));
  const std::string head = ask(server.port(), "HEAD", "/large");
  EXPECT_THAT(head, HasSubstr("Content-Length: " + std::to_string(kLarge) + "\r\n"));
  EXPECT_EQ(body_of(head), "");
}

TEST_F(HttpServerTest, KeepsAConnectionForSeveralRequests) {
  TestClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    client.send("GET /hello HTTP/1.1\r\nHost: localhost:" + std::to_string(server.port()) +
                "\r\n\r\n");
    EXPECT_EQ(body_of(client.receive(2000, "\"hello\"")), "\"hello\"");
  }
}

TEST_F(HttpServerTest, SaysWhatIsWrongWithoutPlacesOfTheMachine) {
  EXPECT_EQ(status_of(get("/nothing")), 404);
  EXPECT_EQ(body_of(get("/number?n=7")), "7");
  for (const char* n : {"/number", "/number?n=", "/number?n=x", "/number?n=-1", "/number?n=100",
                        "/number?n=1e1", "/number?n=99999999999999999999"})
    EXPECT_EQ(status_of(get(n)), 400) << n;
  const std::string missing = get("/missing");
  EXPECT_EQ(status_of(missing), 404);
  EXPECT_THAT(missing, HasSubstr("look elsewhere"));
  EXPECT_THAT(missing, Not(HasSubstr("somebody")));
  EXPECT_EQ(status_of(get("/fails")), 500);
  EXPECT_THAT(get("/fails"), Not(HasSubstr("secret")));
  EXPECT_EQ(body_of(get("/slow")), "\"slow\"");
}

TEST_F(HttpServerTest, AnswersToItsOwnNamesAlone) {
  const std::string end = "\r\nConnection: close\r\n\r\n";
  for (const char* host :
       {"evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example", ""}) {
    TestClient client(server.port());
    client.send("GET /hello HTTP/1.1\r\nHost: " + std::string(host) + end);
    EXPECT_EQ(status_of(client.receive()), 421) << host;
  }
}

TEST_F(HttpServerTest, TakesCommandsFromItsOwnPageAlone) {
  const std::string ours = "Origin: http://127.0.0.1:" + std::to_string(server.port()) + "\r\n";
  EXPECT_EQ(status_of(ask(server.port(), "POST", "/say", ours, "words")), 200);
  EXPECT_EQ(said, "words");
  EXPECT_EQ(status_of(ask(server.port(), "POST", "/say", "", "others")), 403);
  EXPECT_EQ(status_of(ask(server.port(), "POST", "/say", "Origin: http://evil.example\r\n", "x")),
            403);
  EXPECT_EQ(said, "words");
  EXPECT_EQ(status_of(ask(server.port(), "POST", "/hello", ours, "x")), 405);
  EXPECT_EQ(status_of(ask(server.port(), "GET", "/say")), 405);
}

// Two hundred requests that are wrong in many ways: each gets a refusal or is closed, none gets anything of
// a route, and the server goes on.
TEST_F(HttpServerTest, OutlivesTwoHundredMalformedRequests) {
  const int port = server.port();
  std::vector<std::string> bad;
  for (const char* target : {"/../../etc/passwd",
                             "/..%2f..%2fetc/passwd",
                             "/%2e%2e/%2e%2e/etc/passwd",
                             "//etc/passwd",
                             "/hello/../../etc/passwd",
                             "/hello/",
                             "/hello%00.txt",
                             "/hello%0d%0aX: y",
                             "/%",
                             "/%g1",
                             "/%4",
                             "/\\..\\..\\windows",
                             "/.git/config",
                             "/api",
                             "/hello;x",
                             "hello",
                             "*",
                             "http://evil.example/hello",
                             "file:///etc/passwd",
                             "/?%zz=1",
                             "/HELLO",
                             "/hello%2f"})
    for (const char* method : {"GET", "HEAD", "POST"})
      bad.push_back(request_text(port, method, target));
  for (const char* method : {"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "get",
                             "G\x01T", "", "PROPFIND"})
    for (const char* target : {"/hello", "/say", "/nothing"})
      bad.push_back(request_text(port, method, target));
  for (const char* line :
       {"", "\r\n", "\r\n\r\n\r\n", "GET", "GET /hello", "GET /hello HTTP/9.9\r\n\r\n",
        "GET  /hello  HTTP/1.1\r\n\r\n", "GET /hello HTTP/1.1\nHost\n\n",
        "\x16\x03\x01\x02\x01\x01", "SSH-2.0-x\r\n", "\0\0\0\0", "{}\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost 127.0.0.1\r\n\r\n", "GET /hello HTTP/1.1\r\n: x\r\n\r\n",
        "GET /hello HTTP/1.1\r\n\r\n"})
    bad.emplace_back(line);
  const std::string host = "Host: 127.0.0.1:" + std::to_string(port) + "\r\n";
  for (const char* header :
       {"Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length: x",
        "Content-Length: 1000000", "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked"})
    for (const char* target : {"/say", "/hello"})
      bad.push_back(std::string("POST ") + target + " HTTP/1.1\r\n" + host + header +
                    "\r\n\r\nabc");
  bad.push_back("GET /" + std::string(8000, 'a') + " HTTP/1.1\r\n" + host + "\r\n");
  bad.push_back("GET /" + std::string(100000, 'a') + " HTTP/1.1\r\n" + host + "\r\n");
  bad.push_back("GET /hello HTTP/1.1\r\n" + host + "X: " + std::string(20000, 'b') + "\r\n\r\n");
  bad.push_back("GET /hello HTTP/1.1\r\n" + host + "X: " + std::string(1000000, 'b') + "\r\n\r\n");
  std::string many = "GET /hello HTTP/1.1\r\n" + host;
  for (int i = 0; i < 5000; ++i) many += "X" + std::to_string(i) + ": y\r\n";
  bad.push_back(many + "\r\n");
  bad.push_back("POST /say HTTP/1.1\r\n" + host + "Content-Length: 70000\r\n\r\n" +
                std::string(70000, 'c'));
  for (uint64_t seed = 0; bad.size() < 220; ++seed) {  // noise
    std::string noise;
    const Random random(7, seed);
    const size_t size = 1 + random.below(3000, 0);
    for (size_t i = 0; i < size; ++i) noise += static_cast<char>(random.below(256, i + 1));
    bad.push_back(noise);
  }
  ASSERT_GE(bad.size(), 200u);

  for (const std::string& text : bad) {
    TestClient client(port);
    ASSERT_TRUE(client.connected());
    client.send(text);
    ::shutdown(client.descriptor(), SHUT_WR);
    const std::string answer = client.receive();
    EXPECT_THAT(answer, Not(HasSubstr("root:"))) << text.substr(0, 80);
    EXPECT_THAT(answer, Not(HasSubstr("\"hello\""))) << text.substr(0, 80);
    if (!answer.empty()) {
      EXPECT_THAT(status_of(answer), AnyOf(400, 401, 403, 404, 405, 413, 421, 431))
          << text.substr(0, 80) << "\n"
          << answer.substr(0, 200);
    }
  }
  EXPECT_EQ(said, "");
  EXPECT_TRUE(alive());
}

// Clients that send a request byte by byte, or nothing, or do not read: nobody waits for them.
TEST_F(HttpServerTest, SlowClientsHoldNobodyUp) {
  std::vector<std::unique_ptr<TestClient>> slow;
  for (int i = 0; i < 200; ++i) {
    slow.push_back(std::make_unique<TestClient>(server.port()));
    if (i % 3 == 0) slow.back()->send("GET /hel");
    if (i % 3 == 1) slow.back()->send(request_text(server.port(), "GET", "/large"));
  }
  for (int i = 0; i < 20; ++i) {
    slow[0]->send("l");
    EXPECT_TRUE(alive());
  }
  EXPECT_GE(server.connections(), 100);
}

TEST_F(HttpServerTest, RefusesMoreConnectionsThanItsBoundAndRecovers) {
  {
    std::vector<std::unique_ptr<TestClient>> clients;
    for (int i = 0; i < 300; ++i) clients.push_back(std::make_unique<TestClient>(server.port()));
    while (server.connections() < 256) std::this_thread::yield();
    EXPECT_FALSE(alive());
    EXPECT_EQ(server.connections(), 256);
  }
  while (server.connections() > 0) std::this_thread::yield();
  EXPECT_TRUE(alive());
}

TEST_F(HttpServerTest, TakesAFileAndForgetsIt) {
  const std::string file(kMostKept, 'f');
  EXPECT_EQ(body_of(ask(server.port(), "POST", "/keep", ours(), file)), std::to_string(kMostKept));
  while (std::filesystem::exists(kept.parent_path())) std::this_thread::yield();
  // In pieces whose sum nobody has told.
  EXPECT_EQ(body_of(ask(server.port(), "POST", "/keep",
                        ours() + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n")),
            "5");
}

TEST_F(HttpServerTest, TakesNoFileThatIsTooLargeOrOfAnotherPage) {
  EXPECT_EQ(status_of(ask(server.port(), "POST", "/keep", ours(), std::string(kMostKept + 1, 'f'))),
            413);
  const std::string chunk =
      "Transfer-Encoding: chunked\r\n\r\n200000\r\n" + std::string(0x200000, 'f') + "\r\n0\r\n";
  EXPECT_EQ(status_of(ask(server.port(), "POST", "/keep", ours() + chunk)), 413);
  EXPECT_EQ(status_of(ask(server.port(), "POST", "/keep", "", "file")), 403);
  EXPECT_EQ(status_of(ask(server.port(), "POST", "/keep", ours() + "Content-Length: 0\r\n")), 400);
  EXPECT_EQ(status_of(ask(server.port(), "POST", "/say", ours(), std::string(70000, 'c'))), 413);
  EXPECT_TRUE(kept.empty());
  EXPECT_TRUE(alive());
}

TEST_F(HttpServerTest, TakesOneFileAtATimeAndLetsGoOfWhoLeavesAmidst) {
  {
    TestClient first(server.port());
    first.send(request_text(server.port(), "POST", "/keep", ours() + "Content-Length: 1000\r\n") +
               "begun");
    std::string second;
    while (status_of(second = ask(server.port(), "POST", "/keep", ours(), "x")) == 200)
      std::this_thread::yield();  // the first is not there yet
    EXPECT_EQ(status_of(second), 503);
    kept.clear();
  }
  while (status_of(ask(server.port(), "POST", "/keep", ours(), "x")) == 503)
    std::this_thread::yield();
  EXPECT_FALSE(kept.empty());
}

TEST_F(HttpServerTest, TellsAHandlerThatItsClientHasLeft) {
  {
    TestClient client(server.port());
    client.send(request_text(server.port(), "GET", "/until-left"));
    while (begun == 0) std::this_thread::yield();
  }
  while (left == 0) std::this_thread::yield();
  // Whoever left before its turn is not begun at all.
  auto holds = std::make_unique<TestClient>(server.port());
  holds->send(request_text(server.port(), "GET", "/until-left"));
  while (begun < 2) std::this_thread::yield();
  {
    std::vector<std::unique_ptr<TestClient>> waiting;
    for (int i = 0; i < 20; ++i) {
      waiting.push_back(std::make_unique<TestClient>(server.port()));
      waiting.back()->send(request_text(server.port(), "GET", "/until-left"));
    }
    while (server.connections() < 21) std::this_thread::yield();
  }
  while (server.connections() > 1) std::this_thread::yield();
  holds.reset();
  while (left < 2) std::this_thread::yield();
  EXPECT_TRUE(alive());
  EXPECT_EQ(begun, 2);
}

TEST_F(HttpServerTest, TellsAHandlerThatItsClientHasLeftBehindMoreBytes) {
  {
    TestClient client(server.port());
    client.send(request_text(server.port(), "GET", "/until-left"));
    while (begun == 0) std::this_thread::yield();
    client.send("x");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // read alone, or with the end
  }
  for (int i = 0; i < 2000 && left == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ASSERT_EQ(left, 1);
  // Who floods is let go.
  TestClient flood(server.port());
  flood.send(request_text(server.port(), "GET", "/until-left"));
  while (begun < 2) std::this_thread::yield();
  flood.send(std::string(64 << 10, 'x'));
  for (int i = 0; i < 2000 && left < 2; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(left, 2);
  EXPECT_TRUE(alive());
}

TEST_F(HttpServerTest, RefusesMoreThanALaneHasPlacesFor) {
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(std::make_unique<TestClient>(server.port()));
    clients.back()->send(request_text(server.port(), "GET", "/until-left"));
  }
  while (status_of(get("/hello")) != 200 || server.connections() < 64) std::this_thread::yield();
  TestClient more(server.port());
  more.send(request_text(server.port(), "GET", "/until-left"));
  EXPECT_EQ(status_of(more.receive(2000, "\r\n\r\n")), 503);
}

TEST_F(HttpServerTest, OutlivesEventsThatCannotBeBegun) {
  HttpServer other({.port = 0});
  other.events("/events", []() -> std::vector<std::pair<std::string, std::string>> {
    throw std::runtime_error("no room");
  });
  other.get("/hello", [](const Request&) { return json_response(200, "1"); });
  other.start();
  for (int i = 0; i < 300; ++i) EXPECT_EQ(ask(other.port(), "GET", "/events"), "");
  EXPECT_EQ(body_of(ask(other.port(), "GET", "/hello")), "1");
  EXPECT_EQ(other.event_clients(), 0);
}

TEST_F(HttpServerTest, ServesParallelClients) {
  std::atomic<int> right{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 50; ++c)
    clients.emplace_back([&, c] {
      for (int i = 0; i < 10; ++i) {
        const std::string body = body_of(get(c % 5 == 0   ? "/large"
                                             : c % 5 == 1 ? "/slow"
                                                          : "/hello"));
        right += body == (c % 5 == 0   ? std::string(kLarge, 'x')
                          : c % 5 == 1 ? "\"slow\""
                                       : "\"hello\"");
      }
    });
  for (std::thread& t : clients) t.join();
  EXPECT_EQ(right, 500);
}

TEST_F(HttpServerTest, MemoryStaysFlatOverManyReloads) {
  const auto reload = [&](int times) {
    for (int i = 0; i < times; ++i) ASSERT_EQ(body_of(get("/large")).size(), kLarge);
  };
  reload(30);
  const int64_t before = peak_memory_bytes();
  reload(300);
  EXPECT_LE(peak_memory_bytes() - before, 8 << 20);
}

TEST_F(HttpServerTest, TellsEventsToAllThatListen) {
  TestClient a(server.port()), b(server.port());
  for (TestClient* c : {&a, &b}) {
    c->send(request_text(server.port(), "GET", "/events"));
    const std::string begun = c->receive(2000, "event: first\ndata: {\"a\": 1}\n\n");
    EXPECT_THAT(begun, HasSubstr("Content-Type: text/event-stream\r\n"));
    EXPECT_THAT(begun, HasSubstr("event: first\ndata: {\"a\": 1}\n\n"));
  }
  server.send_event("step", "7");
  for (TestClient* c : {&a, &b})
    EXPECT_THAT(c->receive(2000, "data: 7\n\n"), HasSubstr("event: step\ndata: 7\n\n"));
  EXPECT_EQ(server.event_clients(), 2);
}

TEST_F(HttpServerTest, LetsGoOfAListenerThatDoesNotRead) {
  TestClient deaf(server.port());
  deaf.send(request_text(server.port(), "GET", "/events"));
  deaf.receive(2000, "\n\n");
  const std::string page(100000, 'x');
  for (int i = 0; i < 400 && server.event_clients() > 0; ++i) {
    server.send_event("step", page);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(server.event_clients(), 0);
  EXPECT_TRUE(alive());
}

TEST_F(HttpServerTest, StopsWhileClientsHoldOn) {
  TestClient listens(server.port()), waits(server.port()), reads(server.port());
  listens.send(request_text(server.port(), "GET", "/events"));
  listens.receive(2000, "\n\n");
  reads.send(request_text(server.port(), "GET", "/large"));
  server.stop();
  EXPECT_EQ(server.connections(), 0);
  EXPECT_FALSE(TestClient(server.port()).connected());
}

// A connection that comes at the very moment of the end holds nothing open.
TEST(HttpServer, StopsHoweverItIsMet) {
  for (int i = 0; i < 50; ++i) {
    HttpServer server({.port = 0});
    server.start();
    std::vector<std::unique_ptr<TestClient>> clients;
    for (int c = 0; c < 5; ++c) clients.push_back(std::make_unique<TestClient>(server.port()));
    server.stop();
    EXPECT_EQ(server.connections(), 0);
  }
}

TEST_F(HttpServerTest, TakesTheNextFreePort) {
  HttpServer next({.port = server.port()});
  EXPECT_GT(next.port(), server.port());
  EXPECT_LE(next.port(), server.port() + 100);
  EXPECT_THROW(HttpServer({.port = server.port(), .next_free = false}), Error);
}

constexpr const char* kToken = "0123456789abcdef";

class GuardedServerTest : public HttpServerTest {
 protected:
  GuardedServerTest() : HttpServerTest({.host = "0.0.0.0", .port = 0, .token = kToken}) {}
};

TEST_F(GuardedServerTest, AsksForItsToken) {
  EXPECT_EQ(status_of(get("/hello")), 401);
  EXPECT_EQ(status_of(get("/nothing")), 401);
  EXPECT_EQ(status_of(get("/hello?token=")), 401);
  EXPECT_EQ(status_of(get("/hello?token=0123456789abcdeF")), 401);
  EXPECT_EQ(status_of(get("/hello?token=0123456789abcdef0")), 401);
  const std::string let_in = get(std::string("/hello?token=") + kToken);
  EXPECT_EQ(status_of(let_in), 200);
  const size_t at = let_in.find("Set-Cookie: ") + 12;
  const std::string cookie = let_in.substr(at, let_in.find(';', at) - at);
  EXPECT_THAT(let_in, HasSubstr("HttpOnly; SameSite=Strict"));
  EXPECT_EQ(status_of(get("/hello", "Cookie: other=1; " + cookie + "\r\n")), 200);
  EXPECT_EQ(status_of(get("/hello", "Cookie: " + cookie + "x\r\n")), 401);
  EXPECT_THAT(server.address(), HasSubstr(std::string("/?token=") + kToken));
}

TEST(HttpOptions, AreChecked) {
  const auto refused = [](HttpOptions o) {
    try {
      o.check();
      return std::string();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kUsage);
      return e.where();
    }
  };
  EXPECT_EQ(refused({}), "");
  EXPECT_EQ(refused({.host = "::1"}), "");
  EXPECT_EQ(refused({.host = "localhost"}), "");
  EXPECT_EQ(refused({.host = "0.0.0.0"}), "--host");
  EXPECT_EQ(refused({.host = "0.0.0.0", .token = kToken}), "");
  EXPECT_EQ(refused({.host = "example.org"}), "--host");
  EXPECT_EQ(refused({.token = "short"}), "--token");
  EXPECT_EQ(refused({.token = "0123456789abcdef; x"}), "--token");
  EXPECT_EQ(refused({.port = 65536}), "--port");
  EXPECT_EQ(random_token().size(), 32u);
  EXPECT_NE(random_token(), random_token());
}

}  // namespace
}  // namespace covary::serve
