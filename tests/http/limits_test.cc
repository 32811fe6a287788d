// Deadlines and bounds against clients that are slow, greedy or many.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "support.h"

namespace godwit::http::test {
namespace {

using std::chrono::milliseconds;

Server::Options quick() {
  Server::Options o = TestServer::defaults();
  o.limits.header_timeout = milliseconds(150);
  o.limits.body_timeout = milliseconds(150);
  o.limits.idle_timeout = milliseconds(300);
  o.limits.write_timeout = milliseconds(300);
  o.limits.min_rate = 1'000'000;
  return o;
}
void ok(const Request& r, Reply reply) { reply.send(200, std::to_string(r.body.size())); }

// Sends `piece` every 20 ms until the server answers or closes.
std::string drip(Client& c, std::string_view piece) {
  std::string all;
  for (int i = 0; i < 500 && all.empty(); ++i) {
    c.send(piece);
    all = c.readFor(20);
  }
  return all + c.readAll();
}

TEST(Limits, ASlowHeadIs408) {
  TestServer s(ok, quick());
  Client c(s.url());
  c.send("GET / HTTP/1.1\r\nHost: x\r\n");
  EXPECT_THAT(drip(c, "X: y\r\n"), testing::StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(s->stats().timeouts_total, 1U);
}

TEST(Limits, ASlowBodyIs408) {
  TestServer s(ok, quick());
  Client c(s.url());
  c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
  EXPECT_THAT(drip(c, "x"), testing::StartsWith("HTTP/1.1 408 "));
  Client d(s.url());
  d.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_THAT(drip(d, "1\r\nx\r\n"), testing::StartsWith("HTTP/1.1 408 "));
}

TEST(Limits, ABodyThatKeepsUpTheRateMayTakeLongerThanTheTimeout) {
  Server::Options o = quick();
  o.limits.min_rate = 100;
  TestServer s(ok, o);
  Client c(s.url());
  c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
  for (int i = 0; i < 10; ++i) {
    c.send(std::string(100, 'x'));
    EXPECT_EQ(c.readFor(i < 9 ? 50 : 0), "");
  }
  EXPECT_EQ(c.read().body, "1000");
}

TEST(Limits, IdleConnectionsAreClosedSilently) {
  TestServer s(ok, quick());
  Client fresh(s.url());
  Client used(s.url());
  EXPECT_EQ(used.get("/").status, 200);
  EXPECT_TRUE(fresh.closedByPeer());
  EXPECT_TRUE(used.closedByPeer());
}

TEST(Limits, AReaderWithoutProgressIsCutOff) {
  std::string big(8'000'000, 'x');
  TestServer s([&](const Request&, Reply r) { r.send(200, big); }, quick());
  Client c(s.url(), 4096);
  c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(eventually([&] { return s->stats().timeouts_total == 1; }));
  EXPECT_TRUE(eventually([&] { return s->stats().connections_open == 0; }));
}

TEST(Limits, AReaderBelowTheMinimumRateIsCutOff) {
  std::string big(8'000'000, 'x');
  TestServer s([&](const Request&, Reply r) { r.send(200, big); }, quick());
  Client c(s.url(), 4096);
  c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return s->stats().responses_total == 1; }));
  for (int i = 0; i < 1000 && s->stats().connections_open > 0; ++i) {
    char b[16];
    (void)::recv(c.fd(), b, sizeof b, MSG_DONTWAIT);
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_EQ(s->stats().connections_open, 0U);
  EXPECT_EQ(s->stats().timeouts_total, 1U);
}

TEST(Limits, BodiesStopAtTheLimit) {
  Server::Options o = TestServer::defaults();
  o.limits.max_body_bytes = 1000;
  TestServer s(ok, o);
  Client a(s.url());
  a.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'x'));
  EXPECT_EQ(a.read().body, "1000");
  a.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n" + std::string(1001, 'x'));
  EXPECT_EQ(a.read().status, 413);
  // A body without end: refused as soon as it exceeds the limit.
  Client b(s.url());
  b.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::string all;
  for (int i = 0; i < 10'000 && all.empty(); ++i) {
    b.send("64\r\n" + std::string(100, 'x') + "\r\n");
    if (i % 10 == 0) all = b.readFor(1);
  }
  EXPECT_THAT(all + b.readAll(), testing::StartsWith("HTTP/1.1 413 "));
}

TEST(Limits, ConnectionsOverTheLimitWait) {
  Server::Options o = TestServer::defaults();
  o.limits.max_connections = 3;
  o.threads = 2;
  TestServer s(ok, o);
  std::vector<std::unique_ptr<Client>> held;
  for (int i = 0; i < 3; ++i) {
    held.push_back(std::make_unique<Client>(s.url()));
    EXPECT_EQ(held.back()->get("/").status, 200);
  }
  Client fourth(s.url());
  fourth.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(fourth.readFor(100), "");
  held.pop_back();
  EXPECT_EQ(fourth.read().status, 200);
  EXPECT_LE(s->stats().connections_open, 3U);
}

TEST(Limits, AReaderThatDoesNotReadStopsBeingRead) {
  // Endless pipelined requests for large answers: the server must stop reading, not buffer.
  Server::Options o = TestServer::defaults();
  std::string page(100'000, 'x');
  TestServer s([&](const Request&, Reply r) { r.send(200, page); }, o);
  Client c(s.url(), 4096);
  std::string batch;
  for (int i = 0; i < 1000; ++i) batch += "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  for (int i = 0; i < 200; ++i) {
    if (::send(c.fd(), batch.data(), batch.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) break;
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_LT(s->stats().responses_total, 200U);
  EXPECT_LT(s->stats().bytes_in, 2'000'000U);
}

TEST(Limits, AFloodOfConnectionsIsServedOnce) {
  Server::Options o = TestServer::defaults();
  o.limits.max_connections = 50;
  o.limits.idle_timeout = milliseconds(200);
  TestServer s(ok, o);
  std::vector<std::unique_ptr<Client>> flood;
  for (int i = 0; i < 300; ++i) flood.push_back(std::make_unique<Client>(s.url()));
  // Silent connections time out; those behind them in the queue get their turn.
  Client last(s.url());
  last.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(last.read().status, 200);
}

}  // namespace
}  // namespace godwit::http::test
