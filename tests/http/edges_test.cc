// Connections are told of input once, when it comes: whatever lay there before anybody looked is
// found all the same. The loop stands still while the clients prepare what it will meet.
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <future>
#include <memory>
#include <utility>

#include "base/reactor.h"
#include "godwit/http/websocket.h"
#include "support.h"

namespace godwit::http::test {
namespace {

const std::string kGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

void ok(const Request& r, Reply reply) { reply.send(200, std::to_string(r.body.size())); }

// The loop stands still from construction to release().
class Halt {
 public:
  explicit Halt(TestServer& s) {
    s->reactor(0).post([state = state_] {
      state->stands.set_value();
      state->go.get_future().wait();
    });
    state_->stands.get_future().wait();
  }
  ~Halt() { release(); }
  void release() {
    if (!std::exchange(released_, true)) state_->go.set_value();
  }

 private:
  // Of both threads: whoever sets a promise may still be in it when the other goes on.
  struct State {
    std::promise<void> stands, go;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
  bool released_ = false;
};

// Everything sent, its end too, lies in the server's receive buffer.
bool arrived(const Client& c, std::chrono::milliseconds patience = std::chrono::seconds(20)) {
  return eventually(
      [&] {
        int unacknowledged = -1;
        return ::ioctl(c.fd(), SIOCOUTQ, &unacknowledged) == 0 && unacknowledged == 0;
      },
      patience);
}

TEST(Edges, AnEndThatCameWithTheRequestIsSeen) {
  TestServer s(ok);
  Client c(s.url());
  ASSERT_EQ(c.get("/").status, 200);
  Halt halt(s);
  c.send(kGet);
  c.halfClose();
  ASSERT_TRUE(arrived(c));
  halt.release();
  EXPECT_EQ(c.read().status, 200);
  EXPECT_TRUE(c.closedByPeer());
}

TEST(Edges, AnEndBehindWhatWasNotWantedYetIsSeen) {
  Server::Options o = TestServer::defaults();
  o.limits.max_pipelined = 1;
  std::promise<Reply> first;
  std::atomic<int> seen{0};
  TestServer s(
      [&](const Request&, Reply r) {
        if (++seen == 1) return first.set_value(std::move(r));
        r.send(200, "second");
      },
      o);
  Client c(s.url());
  c.send(kGet);
  Reply held = first.get_future().get();
  c.send(kGet);
  c.halfClose();
  ASSERT_TRUE(arrived(c));
  held.send(200, "first");
  EXPECT_EQ(c.read().body, "first");
  EXPECT_EQ(c.read().body, "second");
  EXPECT_TRUE(c.closedByPeer());
}

TEST(Edges, MoreThanATurnReadsIsReadInTheEnd) {
  constexpr std::size_t kSize = 300'000;  // a turn takes 256 KiB of one connection
  TestServer s(ok);
  Client c(s.url());
  const std::string request =
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(kSize) + "\r\n\r\n" +
      std::string(kSize, 'x');
  // The kernel gives a connection a larger receive buffer once it has seen it read fast.
  for (int attempt = 0; attempt < 20; ++attempt) {
    for (int i = 0; i < 20; ++i) {
      c.send(request);
      ASSERT_EQ(c.read().body, std::to_string(kSize));
    }
    Halt halt(s);
    c.send(request);
    bool all = arrived(c, std::chrono::milliseconds(300));
    if (all) {
      c.halfClose();
      ASSERT_TRUE(arrived(c));
    }
    halt.release();
    EXPECT_EQ(c.read().body, std::to_string(kSize));
    if (!all) continue;
    EXPECT_TRUE(c.closedByPeer());
    return;
  }
  GTEST_SKIP() << "the kernel lets no receive buffer grow to " << kSize << " bytes";
}

// A read ends at an urgent byte, whatever lies behind it.
TEST(Edges, WhatLiesBehindAnUrgentByteIsRead) {
  TestServer s(ok);
  Client c(s.url());
  ASSERT_EQ(c.get("/").status, 200);
  Halt halt(s);
  c.send(kGet.substr(0, 10));
  ASSERT_EQ(::send(c.fd(), "!", 1, MSG_OOB | MSG_NOSIGNAL), 1);
  c.send(kGet.substr(10));
  ASSERT_TRUE(arrived(c));
  halt.release();
  EXPECT_EQ(c.read().status, 200);
  EXPECT_EQ(c.get("/").status, 200);
}

// And on a unix socket at a message that carries descriptors.
TEST(Edges, WhatLiesBehindADescriptorIsRead) {
  TestServer s(ok, TestServer::defaults(), {}, "unix:" + tempDir() + "/s");
  Client c(s.url());
  ASSERT_EQ(c.get("/").status, 200);
  Halt halt(s);
  iovec part{const_cast<char*>(kGet.data()), 10};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr m{};
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  cmsghdr* carried = CMSG_FIRSTHDR(&m);
  carried->cmsg_level = SOL_SOCKET;
  carried->cmsg_type = SCM_RIGHTS;
  carried->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = c.fd();
  std::memcpy(CMSG_DATA(carried), &fd, sizeof fd);
  ASSERT_EQ(::sendmsg(c.fd(), &m, MSG_NOSIGNAL), 10);
  c.send(kGet.substr(10));
  halt.release();
  EXPECT_EQ(c.read().status, 200);
}

// One connection fills another's output in the very turn in which that one has input: it is not
// read at first, and there is room again before the turn ends.
TEST(Edges, InputThatMetAFullOutputIsRead) {
  WebSocket::Options options;
  options.max_buffered_bytes = 64 * 1024;
  std::vector<WebSocket> open;
  TestServer s([&](const Request& r, Reply reply) {
    WebSocket::Events e;
    e.open = [&](WebSocket& ws) { open.push_back(ws); };
    e.message = [&](WebSocket& ws, std::string_view m, bool) {
      if (m == "fill") {
        open.back().send(std::string(options.max_buffered_bytes / 2, 'x'));
      } else {
        ws.send(m);
      }
    };
    WebSocket::accept(r, std::move(reply), std::move(e), options);
  });
  const std::string upgrade =
      "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  Client filler(s.url());
  filler.send(upgrade);
  ASSERT_EQ(filler.read().status, 101);
  Client c(s.url());
  c.send(upgrade);
  ASSERT_EQ(c.read().status, 101);
  Halt halt(s);
  const std::string no_mask(4, '\0');
  filler.send("\x81\x84" + no_mask + "fill");
  ASSERT_TRUE(arrived(filler));
  c.send("\x81\x84" + no_mask + "echo");
  ASSERT_TRUE(arrived(c));
  halt.release();
  std::string got;
  EXPECT_TRUE(eventually([&] {
    got += c.readFor(10);
    return got.ends_with(
        "\x81\x04"
        "echo");
  })) << got.size();
}

}  // namespace
}  // namespace godwit::http::test
