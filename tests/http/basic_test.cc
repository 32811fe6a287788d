// Requests and responses as RFC 9112 wants them, over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/reactor.h"
#include "support.h"

namespace godwit::http::test {
namespace {

using testing::HasSubstr;
using testing::Not;

void echo(const Request& r, Reply reply) {
  std::string text(r.method_name);
  text.append(" ").append(r.path).append(" ").append(r.query).append(" ").append(r.body);
  reply.send(200, text);
}

TEST(Basic, AnswersAndKeepsTheConnection) {
  TestServer s(echo);
  Client c(s.url());
  Answer a = c.get("/a%20b?x=1");
  EXPECT_EQ(a.status, 200);
  EXPECT_EQ(a.body, "GET /a%20b x=1 ");
  EXPECT_EQ(a.header("Content-Length"), std::to_string(a.body.size()));
  EXPECT_EQ(a.header("Date").size(), 29U);
  EXPECT_EQ(a.header("Connection"), "");
  EXPECT_EQ(c.get("/again").body, "GET /again  ");
  EXPECT_EQ(s->stats().connections_total, 1U);
}

TEST(Basic, ARequestTellsWhichListenerItCameThrough) {
  auto number = [](const Request& r, Reply reply) { reply.send(200, std::to_string(r.listener)); };
  TestServer s(number, TestServer::defaults(),
               [](Server& server) { ASSERT_TRUE(server.listen("http://127.0.0.1:0").ok()); });
  ASSERT_EQ(s->endpoints().size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    Client c(s->endpoints()[i]);
    EXPECT_EQ(c.get("/").body, std::to_string(i));
  }
}

TEST(Basic, HeadHasTheLengthOfGetAndNoBody) {
  TestServer s(echo);
  Client c(s.url());
  c.send("HEAD /x HTTP/1.1\r\nHost: x\r\n\r\nGET /y HTTP/1.1\r\nHost: x\r\n\r\n");
  Answer head = c.read(true);
  EXPECT_EQ(head.header("Content-Length"), std::to_string(std::string("HEAD /x  ").size()));
  EXPECT_EQ(c.read().body, "GET /y  ");
}

TEST(Basic, AHeadHandlerMayKnowTheLengthWithoutTheBody) {
  TestServer s([](const Request&, Reply r) {
    r.response().header("Content-Length", 1234);
    r.send();
  });
  Client c(s.url());
  c.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(c.read(true).header("Content-Length"), "1234");
  EXPECT_EQ(c.get("/").header("Content-Length"), "0");
}

TEST(Basic, StatusesWithoutBodyHaveNone) {
  TestServer s([](const Request& r, Reply reply) {
    reply.send(r.path == "/204" ? 204 : 304, "never sent");
  });
  Client c(s.url());
  Answer a = c.get("/204");
  EXPECT_EQ(a.status, 204);
  EXPECT_EQ(a.header("Content-Length"), "");
  a = c.get("/304");
  EXPECT_EQ(a.status, 304);
  c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(c.readAll(), Not(HasSubstr("never sent")));
}

TEST(Basic, ConnectionCloseIsHonoured) {
  TestServer s(echo);
  Client c(s.url());
  c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n");
  std::string all = c.readAll();
  EXPECT_THAT(all, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(all, HasSubstr("GET /  "));
}

TEST(Basic, OldClientsMustAskForKeepAlive) {
  TestServer s(echo);
  Client one(s.url());
  one.send("GET /1 HTTP/1.0\r\n\r\n");
  EXPECT_THAT(one.readAll(), HasSubstr("Connection: close\r\n"));
  Client two(s.url());
  two.send("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(two.read().header("Connection"), "keep-alive");
  two.send("GET /2 HTTP/1.0\r\n\r\n");
  EXPECT_THAT(two.readAll(), HasSubstr("GET /2  "));
}

TEST(Basic, BodiesByLengthAndByChunks) {
  TestServer s(echo);
  Client c(s.url());
  c.send("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(c.read().body, "POST /p  hello");
  c.send(
      "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;name=\"v\"\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: ignored\r\n\r\n");
  EXPECT_EQ(c.read().body, "POST /p  hello world");
  EXPECT_EQ(c.get("/next").body, "GET /next  ");
}

TEST(Basic, ContinueComesOnlyWhenTheBodyWillBeRead) {
  Server::Options o = TestServer::defaults();
  o.limits.max_body_bytes = 10;
  TestServer s(echo, o);
  Client c(s.url());
  c.send("PUT /p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(c.read().status, 100);
  c.send("hello");
  EXPECT_EQ(c.read().body, "PUT /p  hello");
  // Not when the body is here already.
  c.send("PUT /p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(c.read().status, 200);
  c.send("PUT /p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
  EXPECT_EQ(c.read().status, 413);
  EXPECT_TRUE(c.closedByPeer());
}

TEST(Basic, PipelinedRequestsAreAnsweredInOrderInOneSend) {
  TestServer s(echo);
  Client c(s.url());
  std::string all;
  for (int i = 0; i < 50; ++i) {
    all += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  }
  c.send(all);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(c.read().body, "GET /" + std::to_string(i) + "  ");
}

// Handlers that answer later, in another order, from another thread.
TEST(Basic, PipelinedOrderHoldsWithAsynchronousReplies) {
  std::vector<Reply> held;
  std::vector<std::string> names;
  std::atomic<int> count{0};
  TestServer s([&](const Request& r, Reply reply) {
    if (r.path == "/now") return reply.send(200, "now");
    names.emplace_back(r.path);
    held.push_back(std::move(reply));
    ++count;
  });
  Client c(s.url());
  std::string all;
  for (int i = 0; i < 20; ++i) {
    all += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  }
  c.send(all + "GET /now HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return count == 20; }));
  std::thread other([&] {
    for (int i = 19; i >= 0; --i) {
      auto k = static_cast<std::size_t>(i);
      held[k].send(200, names[k]);
    }
  });
  for (int i = 0; i < 20; ++i) EXPECT_EQ(c.read().body, "/" + std::to_string(i));
  EXPECT_EQ(c.read().body, "now");
  other.join();
}

TEST(Basic, MorePipelinedRequestsThanTheLimitAreAllAnswered) {
  Server::Options o = TestServer::defaults();
  o.limits.max_pipelined = 4;
  std::vector<std::thread> threads;
  TestServer s(
      [&](const Request& r, Reply reply) {
        threads.emplace_back(
            [reply = std::move(reply), p = std::string(r.path)]() mutable { reply.send(200, p); });
      },
      o);
  Client c(s.url());
  std::string all;
  for (int i = 0; i < 300; ++i) {
    all += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  }
  c.send(all);
  for (int i = 0; i < 300; ++i) ASSERT_EQ(c.read().body, "/" + std::to_string(i));
  s.drain();
  for (auto& t : threads) t.join();
}

TEST(Basic, ADroppedReplyIs500) {
  TestServer s([](const Request&, Reply) {});
  Client c(s.url());
  EXPECT_EQ(c.get("/").status, 500);
  EXPECT_EQ(c.get("/").status, 500);
}

TEST(Basic, AThrowingHandlerIs500) {
  TestServer s([](const Request&, Reply) { throw std::runtime_error("boom"); });
  Client c(s.url());
  EXPECT_EQ(c.get("/").status, 500);
}

TEST(Basic, TheHandlerDeadlineAnswers503AndCancels) {
  Server::Options o = TestServer::defaults();
  o.limits.handler_timeout = std::chrono::milliseconds(50);
  Reply held(nullptr);
  std::atomic<bool> got{false};
  TestServer s(
      [&](const Request&, Reply r) {
        held = std::move(r);
        got = true;
      },
      o);
  Client c(s.url());
  c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  Answer a = c.read();
  EXPECT_EQ(a.status, 503);
  EXPECT_EQ(a.header("Retry-After"), "1");
  EXPECT_TRUE(held.cancelled());
  EXPECT_TRUE(held.deadline().expired());
  held.send(200, "too late");  // goes nowhere
  std::atomic<bool> done{false};
  s->reactor(0).post([&] { done = true; });
  ASSERT_TRUE(eventually([&] { return done.load(); }));
  c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(c.readAll(), Not(HasSubstr("too late")));
  s->reactor(0).post([&] { held = Reply(nullptr); });
}

TEST(Basic, APeerThatGoesCancelsItsRequests) {
  std::atomic<bool> got{false};
  Reply held(nullptr);
  TestServer s([&](const Request&, Reply r) {
    held = std::move(r);
    got = true;
  });
  Client c(s.url());
  c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return got.load(); }));
  c.reset();
  EXPECT_TRUE(eventually([&] { return held.cancelled(); }));
  held.send(200, "nobody");
  EXPECT_TRUE(eventually([&] { return s->stats().requests_pending == 0; }));
}

TEST(Basic, AHalfClosedPeerStillGetsItsAnswer) {
  std::vector<Reply> held;
  std::atomic<int> count{0};
  TestServer s([&](const Request&, Reply r) {
    held.push_back(std::move(r));
    ++count;
  });
  Client c(s.url());
  c.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  c.halfClose();
  ASSERT_TRUE(eventually([&] { return count == 2; }));
  held[1].send(200, "two");
  held[0].send(200, "one");
  EXPECT_EQ(c.read().body, "one");
  EXPECT_EQ(c.read().body, "two");
  EXPECT_TRUE(c.closedByPeer());
}

TEST(Basic, RequestIdsComeInAndGoOut) {
  TestServer s([](const Request& r, Reply reply) { reply.send(200, r.id); });
  Client c(s.url());
  c.send("GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: abc-1.Z_\r\n\r\n");
  Answer a = c.read();
  EXPECT_EQ(a.body, "abc-1.Z_");
  EXPECT_EQ(a.header("X-Request-Id"), "abc-1.Z_");
  c.send("GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: no spaces\r\n\r\n");
  a = c.read();
  EXPECT_EQ(a.body.size(), 20U);
  std::string first = a.body;
  EXPECT_NE(c.get("/").body, first);
}

TEST(Basic, ResponseSplittingIsDropped) {
  TestServer s([](const Request&, Reply r) {
    r.response().header("X-Good", "yes");
    r.response().header("X-Bad", "a\r\nSet-Cookie: evil=1");
    r.response().header("X Bad", "a");
    r.response().header("Transfer-Encoding", "chunked");
    r.response().header("Content-Length", "3");
    r.send(200, "12345");
  });
  Client c(s.url());
  Answer a = c.get("/");
  EXPECT_EQ(a.header("X-Good"), "yes");
  EXPECT_EQ(a.body, "12345");
  EXPECT_THAT(a.head, Not(HasSubstr("evil")));
  EXPECT_THAT(a.head, Not(HasSubstr("chunked")));
}

TEST(Basic, LargeResponsesAndSlowReadersAreFine) {
  std::string big(3'000'000, 'x');
  for (std::size_t i = 0; i < big.size(); i += 1000)
    big[i] = static_cast<char>('a' + i / 1000 % 26);
  TestServer s([&](const Request&, Reply r) { r.send(200, big); });
  Client c(s.url(), 4096);
  c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(c.read().body, big);
  EXPECT_EQ(c.read().body, big);
}

// Answers beyond max_output_bytes that the kernel takes at once: nothing says "writable"
// afterwards.
TEST(Basic, LargePipelinedResponsesToAFastReader) {
  Server::Options o = TestServer::defaults();
  o.limits.max_output_bytes = 1000;
  std::string page(3000, 'p');
  TestServer s([&](const Request&, Reply r) { r.send(200, page); }, o);
  Client c(s.url());
  std::string all;
  for (int i = 0; i < 200; ++i) all += "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  c.send(all);
  for (int i = 0; i < 200; ++i) ASSERT_EQ(c.read().body, page) << i;
}

TEST(Basic, AnEmptyLineBehindARequestIsNotTheStartOfOne) {
  Server::Options o = TestServer::defaults();
  o.limits.header_timeout = std::chrono::milliseconds(50);
  TestServer s(echo, o);
  Client c(s.url());
  c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na\r\n");
  EXPECT_EQ(c.read().status, 200);
  EXPECT_EQ(c.readFor(200), "");
  EXPECT_EQ(c.get("/still").status, 200);
}

TEST(Basic, AccessHookSeesEveryAnswer) {
  std::mutex mu;
  std::vector<std::string> lines;
  TestServer s(echo, TestServer::defaults(), [&](Server& server) {
    server.onAccess([&](const AccessRecord& r) {
      std::lock_guard lock(mu);
      lines.push_back(std::string(r.request.method_name) + " " + std::string(r.request.path) + " " +
                      std::to_string(r.status) + " " + std::to_string(r.body_bytes));
    });
  });
  Client c(s.url());
  c.get("/a");
  c.send("BROKEN\r\n\r\n");
  c.readAll();
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(mu);
    return lines.size() == 2;
  }));
  EXPECT_EQ(lines[0], "GET /a 200 8");
  EXPECT_THAT(lines[1], HasSubstr(" 400 "));
}

TEST(Basic, ProtocolErrorsCanBeShaped) {
  TestServer s(echo, TestServer::defaults(), [](Server& server) {
    server.onProtocolError([](int status, Response& r) {
      r.json(status, "{\"code\":" + std::to_string(status) + "}");
      r.status = 200;  // not its to decide
    });
  });
  Client c(s.url());
  c.send("GET / HTTP/1.1\r\n\r\n");
  Answer a = c.read();
  EXPECT_EQ(a.status, 400);
  EXPECT_EQ(a.body, "{\"code\":400}");
  EXPECT_EQ(a.header("Content-Type"), "application/json");
}

TEST(Basic, ListensOnIpv6AndUnix) {
  TestServer six(echo, TestServer::defaults(), {}, "http://[::1]:0");
  EXPECT_THAT(six.url(), HasSubstr("http://[::1]:"));
  EXPECT_EQ(Client(six.url()).get("/").status, 200);
  std::string path = tempDir() + "/s.sock";
  {
    TestServer u(echo, TestServer::defaults(), {}, "unix:" + path);
    EXPECT_EQ(u.url(), "unix:" + path);
    EXPECT_EQ(Client(u.url()).get("/").status, 200);
    Server second(TestServer::defaults());
    EXPECT_FALSE(second.listen("unix:" + path).ok());
    EXPECT_EQ(::access(path.c_str(), F_OK), 0);
  }
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

TEST(Basic, AStaleUnixSocketIsReplacedAndAStrangersIsLeft) {
  std::string path = tempDir() + "/s.sock";
  Server* leaked = new Server(TestServer::defaults());
  ASSERT_TRUE(leaked->listen("unix:" + path).ok());
  std::string kept = path + ".kept";
  ASSERT_EQ(::link(path.c_str(), kept.c_str()), 0);
  delete leaked;
  ASSERT_EQ(::rename(kept.c_str(), path.c_str()), 0);  // what a killed server leaves
  {
    TestServer u(echo, TestServer::defaults(), {}, "unix:" + path);
    EXPECT_EQ(Client(u.url()).get("/").status, 200);
    ::unlink(path.c_str());
    FILE* f = fopen(path.c_str(), "w");  // somebody else's now
    fclose(f);
  }
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
  Server third(TestServer::defaults());
  EXPECT_FALSE(third.listen("unix:" + path).ok());  // not a socket: not ours to remove
}

TEST(Basic, BadUrlsAreErrors) {
  Server s(TestServer::defaults());
  for (const char* url : {"", "ftp://x", "http://127.0.0.1:99999", "http://127.0.0.1:x",
                          "unix:", "http://[::1", "http://256.256.256.256:1"}) {
    Result<void> r = s.listen(url);
    ASSERT_FALSE(r.ok()) << url;
    EXPECT_EQ(r.error().code, ErrorCode::kInvalid) << url;
  }
}

TEST(Basic, ConnectionsSpreadEvenlyOverLoops) {
  Server::Options o = TestServer::defaults();
  o.threads = 4;
  TestServer s([](const Request&, Reply r) { r.send(200, std::to_string(r.reactor().index())); },
               o);
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<int> per_loop(4);
  for (int i = 0; i < 64; ++i) {
    clients.push_back(std::make_unique<Client>(s.url()));
    ++per_loop[static_cast<std::size_t>(std::stoi(clients.back()->get("/").body))];
  }
  EXPECT_THAT(per_loop, testing::Each(testing::AllOf(testing::Ge(14), testing::Le(18))));
}

TEST(Basic, AProgramMayOwnTheLoop) {
  Server s(TestServer::defaults());
  ASSERT_TRUE(s.listen("http://127.0.0.1:0").ok());
  s.onRequest(echo);
  std::atomic<bool> done{false};
  std::string body;
  std::thread client([&] {
    body = Client(s.endpoints()[0]).get("/polled").body;
    done = true;
  });
  while (!done) ASSERT_TRUE(s.poll(std::chrono::milliseconds(5)));
  client.join();
  EXPECT_EQ(body, "GET /polled  ");
  s.drain(Deadline::after(std::chrono::seconds(5)));
  while (s.poll(std::chrono::milliseconds(50))) {
  }
  EXPECT_FALSE(s.poll(std::chrono::milliseconds(0)));
}

}  // namespace
}  // namespace godwit::http::test
