// Stopping: nothing that was read goes unanswered, and the counts add up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "base/reactor.h"
#include "support.h"

namespace godwit::http::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

void ok(const Request& r, Reply reply) { reply.send(200, r.path); }

// A handler that keeps requests for /wait until told.
struct Holder {
  std::mutex mu;
  std::vector<Reply> held;
  void operator()(const Request& r, Reply reply) {
    if (r.path != "/wait") return reply.send(200, r.path);
    std::lock_guard lock(mu);
    held.push_back(std::move(reply));
  }
  std::size_t count() {
    std::lock_guard lock(mu);
    return held.size();
  }
  void answerAll() {
    std::lock_guard lock(mu);
    for (Reply& r : held) r.send(200, "late but there");
    held.clear();
  }
};

TEST(Drain, WithoutConnectionsItIsOverSoon) {
  TestServer s(ok);
  DrainReport r = s.drain();
  EXPECT_EQ(r.finished, 0U);
  EXPECT_EQ(r.aborted, 0U);
  EXPECT_FALSE(Client(s.url()).connected());
}

TEST(Drain, BeforeRunItEndsTheRunAtOnce) {
  Server s(TestServer::defaults());
  ASSERT_TRUE(s.listen("http://127.0.0.1:0").ok());
  s.drain(Deadline::after(seconds(5)));
  Result<DrainReport> r = s.run();
  ASSERT_TRUE(r.ok());
  EXPECT_FALSE(s.run().ok());
}

TEST(Drain, AnIdleConnectionIsClosedAfterALastChance) {
  TestServer s(ok);
  Client idle(s.url());
  Client chance(s.url());
  EXPECT_EQ(idle.get("/").status, 200);
  EXPECT_EQ(chance.get("/").status, 200);
  s->drain(Deadline::after(seconds(10)));
  // Sent before the client could know: served, and told to close.
  chance.send("GET /chance HTTP/1.1\r\nHost: x\r\n\r\n");
  Answer a = chance.read();
  EXPECT_EQ(a.status, 200);
  EXPECT_EQ(a.header("Connection"), "close");
  EXPECT_TRUE(chance.closedByPeer());
  EXPECT_TRUE(idle.closedByPeer());
  DrainReport r = s.join();
  EXPECT_EQ(r.finished, 1U);
  EXPECT_EQ(r.connections_closed, 2U);
  EXPECT_EQ(r.aborted, 0U);
}

TEST(Drain, ALateRequestIs503WithRetryAfter) {
  Server::Options o = TestServer::defaults();
  o.drain_grace = milliseconds(0);
  o.drain_idle = seconds(5);
  TestServer s(ok, o);
  Client c(s.url());
  EXPECT_EQ(c.get("/").status, 200);
  s->drain(Deadline::after(seconds(10)));
  ASSERT_TRUE(eventually([&] { return s->draining(); }));
  std::this_thread::sleep_for(milliseconds(100));
  c.send("GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
  Answer a = c.read();
  EXPECT_EQ(a.status, 503);
  EXPECT_EQ(a.header("Retry-After"), "1");
  EXPECT_EQ(a.header("Connection"), "close");
  c.close();
  DrainReport r = s.join();
  EXPECT_EQ(r.refused, 1U);
  EXPECT_EQ(r.finished, 0U);
}

TEST(Drain, ARunningHandlerIsWaitedFor) {
  Holder h;
  TestServer s(std::ref(h));
  Client c(s.url());
  c.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return h.count() == 1; }));
  s->drain(Deadline::after(seconds(10)));
  EXPECT_EQ(c.readFor(200), "");
  // Read while the handler runs, long after drain began: answered too, but not served.
  c.send("GET /pipelined HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return s->stats().bytes_in > 50; }));
  h.answerAll();
  Answer a = c.read();
  EXPECT_EQ(a.status, 200);
  EXPECT_EQ(a.body, "late but there");
  EXPECT_EQ(c.read().status, 503);
  EXPECT_TRUE(c.closedByPeer());
  c.close();
  DrainReport r = s.join();
  EXPECT_EQ(r.finished, 1U);
  EXPECT_EQ(r.refused, 1U);
  EXPECT_EQ(r.aborted, 0U);
}

TEST(Drain, PipelinedRequestsThatWereReadAreAllServed) {
  Holder h;
  TestServer s(std::ref(h));
  Client c(s.url());
  c.send(
      "GET /wait HTTP/1.1\r\nHost: x\r\n\r\nGET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return h.count() == 1; }));
  s->drain(Deadline::after(seconds(10)));
  EXPECT_EQ(c.readFor(200), "");
  h.answerAll();
  EXPECT_EQ(c.read().header("Connection"), "");
  EXPECT_EQ(c.read().body, "/1");
  Answer a = c.read();
  EXPECT_EQ(a.body, "/2");
  EXPECT_EQ(a.header("Connection"), "close");
  c.close();
  EXPECT_EQ(s.join().finished, 3U);
}

TEST(Drain, AHalfReadRequestMayBeCompleted) {
  TestServer s(ok);
  Client head(s.url());
  Client body(s.url());
  head.send("GET /head HTT");
  body.send("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
  ASSERT_TRUE(eventually([&] { return s->stats().bytes_in > 60; }));
  s->drain(Deadline::after(seconds(10)));
  EXPECT_EQ(head.readFor(400), "");  // longer than drain_idle
  head.send("P/1.1\r\nHost: x\r\n\r\n");
  body.send("cd");
  Answer a = head.read();
  EXPECT_EQ(a.body, "/head");
  EXPECT_EQ(a.header("Connection"), "close");
  EXPECT_EQ(body.read().body, "/body");
  head.close();
  body.close();
  DrainReport r = s.join();
  EXPECT_EQ(r.finished, 2U);
  EXPECT_EQ(r.refused, 0U);
}

TEST(Drain, ASlowReaderGetsItsWholeResponse) {
  std::string big(4'000'000, 'x');
  TestServer s([&](const Request&, Reply r) { r.send(200, big); });
  Client c(s.url(), 4096);
  c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return s->stats().responses_total == 1; }));
  s->drain(Deadline::after(seconds(15)));
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_EQ(c.read().body.size(), big.size());
  c.close();
  EXPECT_EQ(s.join().aborted, 0U);
}

TEST(Drain, TheDeadlineAbortsAndSaysSo) {
  Holder h;
  std::string big(4'000'000, 'x');
  TestServer s([&](const Request& r, Reply reply) {
    if (r.path == "/big") return reply.send(200, big);
    h(r, std::move(reply));
  });
  Client waiting(s.url());
  Client reading(s.url(), 4096);
  Client half(s.url());
  waiting.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  reading.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
  half.send("GET /x HT");
  ASSERT_TRUE(eventually([&] { return h.count() == 1 && s->stats().bytes_in > 60; }));
  DrainReport r = s.drain(milliseconds(300));
  EXPECT_EQ(r.aborted, 3U);
  EXPECT_EQ(r.connections_closed, 3U);
  EXPECT_TRUE(h.held[0].cancelled());
  h.held.clear();  // answers into the void
  EXPECT_EQ(describe(r).substr(0, 8), "drained ");
}

TEST(Drain, ConnectionsInTheKernelsQueueAreLetIn) {
  Server::Options o = TestServer::defaults();
  std::atomic<bool> hold{true};
  std::atomic<bool> blocked{false};
  TestServer s(
      [&](const Request& r, Reply reply) {
        if (r.path == "/block") {
          blocked = true;
          while (hold)
            std::this_thread::sleep_for(milliseconds(1));  // the loop sees nothing meanwhile
        }
        reply.send(200, r.path);
      },
      o);
  Client blocker(s.url());
  blocker.send("GET /block HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return blocked.load(); }));
  std::vector<std::unique_ptr<Client>> queued;
  for (int i = 0; i < 20; ++i) {
    queued.push_back(std::make_unique<Client>(s.url()));
    queued.back()->send("GET /q HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  s->drain(Deadline::after(seconds(10)));
  hold = false;
  for (auto& c : queued) {
    EXPECT_EQ(c->read().body, "/q");
    c->close();
  }
  EXPECT_EQ(blocker.read().status, 200);
  blocker.close();
  DrainReport r = s.join();
  EXPECT_EQ(r.aborted, 0U);
  EXPECT_EQ(r.refused, 0U);
}

TEST(Drain, StopIsNow) {
  Holder h;
  TestServer s(std::ref(h));
  Client c(s.url());
  c.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return h.count() == 1; }));
  s->drain(Deadline::after(seconds(600)));
  s->stop();
  EXPECT_EQ(s.join().aborted, 1U);
  h.held.clear();
}

TEST(Drain, HooksRunInOrderAndBackendsStillHaveTheirLoops) {
  std::mutex mu;
  std::vector<std::string> order;
  auto note = [&](const char* what) {
    std::lock_guard lock(mu);
    order.emplace_back(what);
  };
  Server::Options o = TestServer::defaults();
  o.threads = 2;
  TestServer s(ok, o, [&](Server& server) {
    server.onDrain([&] { note("drain"); });
    server.onStopped([&](Deadline d) {
      EXPECT_FALSE(d.expired());
      std::atomic<bool> ran{false};
      server.reactor(1).post([&] { ran = true; });
      EXPECT_TRUE(eventually([&] { return ran.load(); }));
      server.reactor(0).post([&] { note("leftover"); });
      note("stopped");
    });
  });
  s.drain();
  EXPECT_THAT(order, testing::ElementsAre("drain", "stopped", "leftover"));
}

// Many clients, all the time; drain in the middle: every request whose answer did not come was
// never read, and every answer is whole.
TEST(Drain, UnderLoadNoRequestThatWasReadIsLost) {
  Server::Options o = TestServer::defaults();
  o.threads = 2;
  o.drain_grace = seconds(2);
  o.drain_idle = seconds(2);
  TestServer s(ok, o);
  std::atomic<std::uint64_t> answered{0};
  std::atomic<std::uint64_t> odd{0};
  std::vector<std::thread> clients;
  for (int t = 0; t < 8; ++t) {
    clients.emplace_back([&] {
      for (;;) {
        Client c(s.url());
        if (!c.connected()) return;
        for (;;) {
          Answer a = c.get("/load");
          if (a.status == 0) break;  // closed before it was read, or connected too late
          if (a.status != 200 || a.body != "/load") ++odd;
          ++answered;
          if (a.header("Connection") == "close") break;
        }
      }
    });
  }
  ASSERT_TRUE(eventually([&] { return answered > 2000; }));
  DrainReport r = s.drain();
  for (auto& t : clients) t.join();
  EXPECT_EQ(odd, 0U);
  EXPECT_EQ(r.aborted, 0U);
  EXPECT_EQ(r.refused, 0U);
  EXPECT_EQ(s->stats().responses_total, answered);
  EXPECT_EQ(s->stats().requests_total, answered);
}

}  // namespace
}  // namespace godwit::http::test
