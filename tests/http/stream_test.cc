// Bodies that come and go in pieces, files, and their back-pressure.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <thread>

#include "base/reactor.h"
#include "support.h"

namespace godwit::http::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

TEST(Stream, ChunkedOut) {
  TestServer s([](const Request&, Reply r) {
    r.response().header("Content-Type", "text/plain");
    BodyWriter w = r.stream();
    EXPECT_TRUE(w.write("hello "));
    EXPECT_TRUE(w.write("world"));
    w.end();
    EXPECT_FALSE(w.write("after the end"));
  });
  Client c(s.url());
  for (int i = 0; i < 2; ++i) {
    Answer a = c.get("/");
    EXPECT_EQ(a.header("Transfer-Encoding"), "chunked");
    EXPECT_EQ(a.body, "hello world");
  }
  c.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(c.read(true).header("Transfer-Encoding"), "chunked");
  EXPECT_EQ(c.get("/").body, "hello world");
  Client old(s.url());
  old.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  std::string all = old.readAll();
  EXPECT_THAT(all, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(all, testing::EndsWith("\r\n\r\nhello world"));
}

TEST(Stream, OfKnownLength) {
  TestServer s([](const Request& r, Reply reply) {
    BodyWriter w = reply.stream(5);
    w.write(r.path == "/long" ? "too long" : r.path == "/short" ? "abc" : "exact");
    w.end();
  });
  Client c(s.url());
  EXPECT_EQ(c.get("/").body, "exact");
  EXPECT_EQ(c.get("/").header("Content-Length"), "5");
  EXPECT_EQ(c.get("/short").status, 0) << "a short body must not look complete";
  Client d(s.url());
  d.send("GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(d.readAll(), Not(HasSubstr("too long")));
}

TEST(Stream, FromAnotherThreadWithBackPressure) {
  constexpr std::size_t kTotal = 20'000'000;
  std::atomic<std::size_t> most{0};
  std::vector<std::thread> threads;
  TestServer s([&](const Request&, Reply r) {
    threads.emplace_back([&most, w = r.stream()]() mutable {
      std::string block(10'000, 'x');
      for (std::size_t n = 0; n < kTotal; n += block.size()) {
        while (w.full() && !w.closed()) std::this_thread::sleep_for(milliseconds(1));
        if (!w.write(block)) return;
        most = std::max(most.load(), w.buffered());
      }
      w.end();
    });
  });
  Client c(s.url(), 65536);
  EXPECT_EQ(c.get("/").body.size(), kTotal);
  EXPECT_LT(most, 2'000'000U);
  for (auto& t : threads) t.join();
}

TEST(Stream, OnWritableDrivesAProducer) {
  constexpr std::size_t kTotal = 10'000'000;
  struct Producer {
    BodyWriter out;
    std::size_t sent = 0;
    void pump() {
      while (sent < kTotal && !out.full()) {
        out.write(std::string(10'000, 'y'));
        sent += 10'000;
      }
      if (sent >= kTotal) out.end();
    }
  };
  TestServer s([](const Request&, Reply r) {
    auto p = std::make_shared<Producer>();
    p->out = r.stream();
    p->out.onWritable([p] { p->pump(); });
    p->pump();
  });
  Client c(s.url(), 65536);
  EXPECT_EQ(c.get("/").body.size(), kTotal);
  EXPECT_EQ(c.get("/").body.size(), kTotal);
}

TEST(Stream, AWriterThatIgnoresFullIsCutOff) {
  std::atomic<bool> cut{false};
  TestServer s([&](const Request&, Reply r) {
    BodyWriter w = r.stream();
    for (int i = 0; i < 10'000; ++i) {
      if (!w.write(std::string(10'000, 'x'))) {
        cut = true;
        return;
      }
    }
  });
  Client c(s.url(), 4096);
  c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(eventually([&] { return cut.load(); }));
}

TEST(Stream, ADroppedWriterMustNotLookComplete) {
  TestServer s([](const Request&, Reply r) { r.stream().write("half of it"); });
  Client c(s.url());
  c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(c.readAll(), Not(HasSubstr("0\r\n\r\n")));
}

TEST(Stream, APeerThatGoesClosesTheWriter) {
  BodyWriter w;
  std::atomic<bool> told{false};
  std::atomic<bool> began{false};
  TestServer s([&](const Request&, Reply r) {
    w = r.stream();
    w.onClosed([&] { told = true; });
    w.write("x");
    began = true;
  });
  {
    Client c(s.url());
    c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(eventually([&] { return began.load(); }));
  }
  EXPECT_TRUE(eventually([&] { return told.load(); }));
  EXPECT_FALSE(w.write("more"));
}

TEST(Stream, PipelinedBehindAStreamWaits) {
  BodyWriter w;
  std::atomic<bool> began{false};
  TestServer s([&](const Request& r, Reply reply) {
    if (r.path != "/stream") return reply.send(200, r.path);
    w = reply.stream();
    began = true;
  });
  Client c(s.url());
  c.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return began.load(); }));
  w.write("one");
  w.end();
  EXPECT_EQ(c.read().body, "one");
  EXPECT_EQ(c.read().body, "/2");
}

TEST(Stream, RequestBodiesAreHandedOnAsTheyCome) {
  Server::Options o = TestServer::defaults();
  o.limits.max_body_bytes = 100;
  TestServer s(
      [](const Request&, Reply r) {
        struct State {
          Reply reply;
          std::size_t bytes = 0;
        };
        auto state = std::make_shared<State>(State{std::move(r)});
        state->reply.onBody([state](BodyEvent e, std::string_view data) {
          state->bytes += data.size();
          if (e == BodyEvent::kEnd) state->reply.send(200, std::to_string(state->bytes));
        });
      },
      o,
      [](Server& server) {
        server.onHead([](const Request& r) {
          return BodyPolicy{r.path == "/stream", r.path == "/stream" ? 10'000'000U : 0U};
        });
      });
  Client c(s.url());
  c.send("POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n" +
         std::string(5'000'000, 'x'));
  EXPECT_EQ(c.read().body, "5000000");
  c.send(
      "POST /stream HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: "
      "chunked\r\n\r\n");
  EXPECT_EQ(c.read().status, 100);
  for (int i = 0; i < 1000; ++i) c.send("64\r\n" + std::string(100, 'x') + "\r\n");
  c.send("0\r\n\r\n");
  EXPECT_EQ(c.read().body, "100000");
  c.send("POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(c.read().body, "0");
  c.send("POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n");
  EXPECT_EQ(c.read().status, 413);
}

TEST(Stream, AnsweringBeforeTheBodyIsOverCloses) {
  TestServer s([](const Request&, Reply r) { r.send(403, "no"); }, TestServer::defaults(),
               [](Server& server) {
                 server.onHead([](const Request&) { return BodyPolicy{true, 1'000'000'000}; });
               });
  Client c(s.url());
  c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\nabc");
  Answer a = c.read();
  EXPECT_EQ(a.status, 403);
  EXPECT_EQ(a.header("Connection"), "close");
  EXPECT_TRUE(c.closedByPeer());
}

TEST(Stream, EchoInBothDirections) {
  TestServer s(
      [](const Request&, Reply r) {
        auto reply = std::make_shared<Reply>(std::move(r));
        auto out = std::make_shared<BodyWriter>();
        reply->onBody([out](BodyEvent e, std::string_view data) {
          if (e == BodyEvent::kData) out->write(data);
          if (e == BodyEvent::kEnd) out->end();
        });
        *out = reply->stream();
      },
      TestServer::defaults(),
      [](Server& server) {
        server.onHead([](const Request&) { return BodyPolicy{true, 1'000'000'000}; });
      });
  Client c(s.url());
  std::string body(300'000, 'e');
  c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + body);
  EXPECT_EQ(c.read().body, body);
  c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(c.read().body, "abc");
}

TEST(Stream, APausedBodyStopsTheClient) {
  std::shared_ptr<Reply> held;
  std::atomic<std::size_t> bytes{0};
  std::atomic<bool> done{false};
  std::atomic<bool> began{false};
  TestServer s(
      [&](const Request&, Reply r) {
        held = std::make_shared<Reply>(std::move(r));
        held->onBody([&](BodyEvent e, std::string_view data) {
          bytes += data.size();
          if (e == BodyEvent::kEnd) done = true;
        });
        held->pauseBody();
        began = true;
      },
      TestServer::defaults(),
      [](Server& server) {
        server.onHead([](const Request&) { return BodyPolicy{true, 1'000'000'000}; });
      });
  Client c(s.url());
  std::thread sender([&] {
    c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n");
    c.send(std::string(30'000'000, 'x'));
  });
  ASSERT_TRUE(eventually([&] { return began.load(); }));
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_EQ(bytes, 0U);
  EXPECT_LT(s->stats().bytes_in, 1'000'000U);
  s->reactor(0).post([&] { held->resumeBody(); });
  EXPECT_TRUE(eventually([&] { return done.load(); }));
  EXPECT_EQ(bytes, 30'000'000U);
  s->reactor(0).post([&] {
    held->send(200, "thanks");
    held.reset();
  });
  EXPECT_EQ(c.read().body, "thanks");
  sender.join();
}

TEST(Stream, ABrokenOffBodyIsReported) {
  std::atomic<int> aborted{0};
  TestServer s(
      [&](const Request&, Reply r) {
        auto reply = std::make_shared<Reply>(std::move(r));
        reply->onBody([&aborted, reply](BodyEvent e, std::string_view) {
          if (e == BodyEvent::kAborted) ++aborted;
        });
      },
      TestServer::defaults(),
      [](Server& server) { server.onHead([](const Request&) {
                             return BodyPolicy{true, 0};
                           }); });
  {
    Client c(s.url());
    c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    Client d(s.url());
    d.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n");
    EXPECT_EQ(d.read().status, 400);
    EXPECT_TRUE(d.closedByPeer());
    Client e(s.url());
    e.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    e.halfClose();
    EXPECT_EQ(e.read().status, 400);
    EXPECT_TRUE(e.closedByPeer());
    ASSERT_TRUE(eventually([&] { return s->stats().requests_total == 3; }));
  }
  EXPECT_TRUE(eventually([&] { return aborted == 3; }));
  EXPECT_TRUE(eventually([&] { return s->stats().requests_pending == 0; }));
}

TEST(Stream, FilesAndTheirParts) {
  std::string path = tempDir() + "/f";
  std::string content;
  for (int i = 0; i < 500'000; ++i) content += std::to_string(i % 10);
  std::ofstream(path) << content;
  TestServer s([&](const Request& r, Reply reply) {
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (r.path == "/part") return reply.sendFile(fd, 1000, 2000);
    if (r.path == "/beyond") return reply.sendFile(fd, 0, content.size() + 10);
    reply.sendFile(fd, 0, content.size());
  });
  Client c(s.url(), 4096);
  EXPECT_EQ(c.get("/").body, content);
  EXPECT_EQ(c.get("/part").body, content.substr(1000, 2000));
  c.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(c.read(true).header("Content-Length"), "500000");
  EXPECT_EQ(c.get("/beyond").status, 0) << "a file that shrank must not look complete";
}

TEST(Stream, DrainWaitsForABodyAndEndsAnEndlessOne) {
  std::mutex mu;
  std::vector<BodyWriter> writers;
  std::atomic<int> began{0};
  TestServer s([&](const Request& r, Reply reply) {
    std::lock_guard lock(mu);
    BodyWriter w = reply.stream();
    w.write("begin ");
    if (r.path == "/endless") {
      w.onDrain([w]() mutable {
        w.write("retry");
        w.end();
      });
    } else {
      writers.push_back(w);
    }
    ++began;
  });
  Client download(s.url());
  Client endless(s.url());
  download.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  endless.send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return began == 2; }));
  s->drain(Deadline::after(seconds(10)));
  EXPECT_EQ(endless.read().body, "begin retry");
  EXPECT_TRUE(endless.closedByPeer());
  std::this_thread::sleep_for(milliseconds(100));
  {
    std::lock_guard lock(mu);
    writers[0].write("end");
    writers[0].end();
  }
  EXPECT_EQ(download.read().body, "begin end");
  download.close();
  endless.close();
  DrainReport r = s.join();
  EXPECT_EQ(r.finished, 2U);
  EXPECT_EQ(r.aborted, 0U);
}

TEST(Stream, PostReachesALivingConnectionOnly) {
  std::atomic<std::uint64_t> id{0};
  TestServer s([&](const Request& r, Reply reply) {
    id = r.connection;
    reply.send(200, "");
  });
  std::atomic<int> ran{0};
  std::atomic<bool> fence{false};
  {
    Client c(s.url());
    c.get("/");
    s->post(id, [&] { ++ran; });
    ASSERT_TRUE(eventually([&] { return ran == 1; }));
  }
  ASSERT_TRUE(eventually([&] { return s->stats().connections_open == 0; }));
  s->post(id, [&] { ++ran; });
  s->post(~std::uint64_t{0}, [&] { ++ran; });
  s->reactor(0).post([&] { fence = true; });
  ASSERT_TRUE(eventually([&] { return fence.load(); }));
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace godwit::http::test
