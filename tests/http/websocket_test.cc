// WebSocket as RFC 6455 and RFC 7692 have it, against a client that can do wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "base/reactor.h"
#include "godwit/http/websocket.h"
#include "http/ws_codec.h"
#include "support.h"

namespace godwit::http::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

std::string frame(int first, std::string_view payload, bool masked = true, int lie = -1) {
  std::string out(1, static_cast<char>(first));
  const std::size_t n = payload.size();
  const int mask = masked ? 0x80 : 0;
  if (lie == 126 || (lie < 0 && n >= 126 && n <= 0xffff)) {
    out.push_back(static_cast<char>(mask | 126));
    out.push_back(static_cast<char>(n >> 8));
    out.push_back(static_cast<char>(n & 0xff));
  } else if (n > 0xffff) {
    out.push_back(static_cast<char>(mask | 127));
    for (int i = 7; i >= 0; --i) out.push_back(static_cast<char>(n >> (8 * i) & 0xff));
  } else {
    out.push_back(static_cast<char>(mask | static_cast<int>(n)));
  }
  if (!masked) return out.append(payload);
  const std::string key = "\x12\x34\x56\x78";
  out += key;
  for (std::size_t i = 0; i < n; ++i) out.push_back(static_cast<char>(payload[i] ^ key[i % 4]));
  return out;
}
std::string closeFrame(int code, const std::string& reason = "") {
  return frame(0x88,
               std::string{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)} + reason);
}

struct Frame {
  int first = -1;  // -1: the connection ended
  std::string payload;
  [[nodiscard]] int code() const {
    return payload.size() < 2 ? 1005
                              : (static_cast<unsigned char>(payload[0]) << 8 |
                                 static_cast<unsigned char>(payload[1]));
  }
};

class WsClient {
 public:
  explicit WsClient(const std::string& url, const std::string& extra = "") : c(url) {
    c.send(
        "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
        extra + "\r\n");
    handshake = c.read();
  }
  Frame read() {
    Frame f;
    while (!complete(f)) {
      std::string more = c.readFor(10);
      if (more.empty() && ++quiet > 1000) return Frame();
      if (more.empty() && c.ended()) return Frame();
      in += more;
    }
    return f;
  }
  Client c;
  Answer handshake;
  std::string in;
  int quiet = 0;

 private:
  bool complete(Frame& f) {
    if (in.size() < 2) return false;
    std::size_t n = static_cast<unsigned char>(in[1]);
    std::size_t head = 2;
    if (n >= 126) {
      std::size_t width = n == 126 ? 2 : 8;
      head += width;
      if (in.size() < head) return false;
      n = 0;
      for (std::size_t i = 2; i < head; ++i) n = n << 8 | static_cast<unsigned char>(in[i]);
    }
    if (in.size() < head + n) return false;
    f.first = static_cast<unsigned char>(in[0]);
    f.payload = in.substr(head, n);
    in.erase(0, head + n);
    return true;
  }
};

struct Room {
  std::mutex mu;
  std::vector<WebSocket> sockets;
  std::vector<std::string> closes;
  WebSocket::Options options;
  void operator()(const Request& r, Reply reply) {
    WebSocket::Events e;
    e.open = [this](WebSocket& ws) {
      std::lock_guard lock(mu);
      sockets.push_back(ws);
    };
    e.message = [](WebSocket& ws, std::string_view m, bool text) {
      if (m == "close me") return ws.close(4001, "as you wish");
      if (text) {
        ws.send(m);
      } else {
        ws.sendBinary(m);
      }
    };
    e.close = [this](std::uint16_t code, std::string_view reason) {
      std::lock_guard lock(mu);
      closes.push_back(std::to_string(code) + " " + std::string(reason));
    };
    WebSocket::accept(r, std::move(reply), std::move(e), options);
  }
  std::size_t open() {
    std::lock_guard lock(mu);
    return sockets.size();
  }
  std::vector<std::string> ends() {
    std::lock_guard lock(mu);
    return closes;
  }
};

TEST(WebSocketTest, HandshakeAndEcho) {
  Room room;
  room.options.subprotocols = {"chat.v2", "chat"};
  TestServer s(std::ref(room));
  WsClient ws(s.url(), "Sec-WebSocket-Protocol: chat, chat.v2\r\n");
  EXPECT_EQ(ws.handshake.status, 101);
  EXPECT_EQ(ws.handshake.header("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(ws.handshake.header("Sec-WebSocket-Protocol"), "chat.v2");
  EXPECT_EQ(ws.handshake.header("Sec-WebSocket-Extensions"), "");
  for (std::size_t n : {0, 1, 125, 126, 127, 65535, 65536, 300'000}) {
    std::string text(n, 'a');
    ws.c.send(frame(0x81, text));
    Frame f = ws.read();
    EXPECT_EQ(f.first, 0x81);
    EXPECT_EQ(f.payload, text);
  }
  ws.c.send(frame(0x82, std::string("\0\xff\xfe", 3)));
  EXPECT_EQ(ws.read().first, 0x82);
  // Fragments, with a ping between them.
  ws.c.send(frame(0x01, "one ") + frame(0x89, "p") + frame(0x00, "two ") + frame(0x80, "three"));
  Frame pong = ws.read();
  EXPECT_EQ(pong.first, 0x8a);
  EXPECT_EQ(pong.payload, "p");
  EXPECT_EQ(ws.read().payload, "one two three");
  ws.c.send(closeFrame(1000, "bye"));
  Frame end = ws.read();
  EXPECT_EQ(end.first, 0x88);
  EXPECT_EQ(end.code(), 1000);
  EXPECT_EQ(ws.read().first, -1);
  EXPECT_TRUE(eventually([&] { return room.ends().size() == 1; }));
  EXPECT_EQ(room.ends()[0], "1000 bye");
}

TEST(WebSocketTest, FramesInAnyPieces) {
  Room room;
  TestServer s(std::ref(room));
  WsClient ws(s.url());
  std::string bytes = frame(0x01, "hel") + frame(0x80, "lo") + frame(0x81, std::string(200, 'x'));
  for (char b : bytes) ws.c.send(std::string(1, b));
  EXPECT_EQ(ws.read().payload, "hello");
  EXPECT_EQ(ws.read().payload.size(), 200U);
}

TEST(WebSocketTest, DataRightBehindTheHandshake) {
  Room room;
  TestServer s(std::ref(room));
  Client c(s.url());
  c.send(
      "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" +
      frame(0x81, "early") + closeFrame(1000));
  EXPECT_EQ(c.read().status, 101);
  EXPECT_THAT(c.readAll(), HasSubstr("early"));
}

TEST(WebSocketTest, WrongHandshakesAreRefused) {
  Room room;
  TestServer s(std::ref(room));
  Client c(s.url());
  Answer a = c.get("/ws");
  EXPECT_EQ(a.status, 426);
  EXPECT_EQ(a.header("Sec-WebSocket-Version"), "13");
  auto ask = [&](const std::string& method, const std::string& headers) {
    c.send(method + " /ws HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n");
    return c.read().status;
  };
  const std::string good = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
  EXPECT_EQ(
      ask("GET",
          good + "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
      426);
  EXPECT_EQ(ask("GET", good + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n"), 400);
  EXPECT_EQ(ask("GET", good + "Sec-WebSocket-Version: 13\r\n"), 400);
  EXPECT_EQ(
      ask("POST",
          good + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
      400);
  EXPECT_EQ(room.open(), 0U);
}

TEST(WebSocketTest, ViolationsEndWithTheirCode) {
  Room room;
  room.options.max_message_bytes = 1000;
  TestServer s(std::ref(room));
  const std::vector<std::pair<std::string, int>> cases = {
      {frame(0x81, "unmasked", false), 1002},
      {frame(0xc1, "rsv1"), 1002},
      {frame(0xa1, "rsv2"), 1002},
      {frame(0x83, "reserved opcode"), 1002},
      {frame(0x8b, "reserved control"), 1002},
      {frame(0x09, "fragmented ping"), 1002},
      {frame(0x89, std::string(126, 'p')), 1002},
      {frame(0x80, "continues nothing"), 1002},
      {frame(0x01, "a") + frame(0x81, "interrupted"), 1002},
      {frame(0x81, "short", true, 126), 1002},
      {frame(0x88, "x"), 1002},
      {closeFrame(999), 1002},
      {closeFrame(1005), 1002},
      {closeFrame(1016), 1002},
      {closeFrame(5000), 1002},
      {closeFrame(1000, "\xff\xff"), 1007},
      {frame(0x81, "\xc3\x28"), 1007},
      {frame(0x01, "\xe2\x82") + frame(0x80, "\x28"), 1007},
      {frame(0x81, "\xed\xa0\x80"), 1007},
      {frame(0x81, std::string(1001, 'x')), 1009},
      {frame(0x01, std::string(600, 'x')) + frame(0x80, std::string(600, 'x')), 1009},
      {std::string("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00mask", 14), 1002},
      {frame(0x88, ""), 1005},
      {closeFrame(3000, "mine"), 3000},
      {closeFrame(4999), 4999},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    WsClient ws(s.url());
    ws.c.send(cases[i].first);
    Frame f = ws.read();
    EXPECT_EQ(f.first, 0x88);
    EXPECT_EQ(f.code(), cases[i].second);
    EXPECT_EQ(ws.read().first, -1);
  }
  EXPECT_TRUE(eventually([&] { return room.ends().size() == cases.size(); }));
}

TEST(WebSocketTest, DeflateWhenBothWantIt) {
  Room room;
  TestServer s(std::ref(room));
  WsClient ws(s.url(), "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n");
  EXPECT_THAT(ws.handshake.header("Sec-WebSocket-Extensions"), HasSubstr("permessage-deflate"));
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "many words many ";
  std::string packed;
  ASSERT_TRUE(wsDeflate(text, packed));
  for (int round = 0; round < 3; ++round) {
    ws.c.send(frame(0xc1, packed));
    Frame f = ws.read();
    ASSERT_EQ(f.first, 0xc1);
    EXPECT_LT(f.payload.size(), text.size() / 10);
    std::string back;
    ASSERT_EQ(wsInflate(f.payload, back, 1 << 20), 0);
    EXPECT_EQ(back, text);
  }
  // In fragments: only the first says that it is compressed.
  ws.c.send(frame(0x41, packed.substr(0, 5)) + frame(0x80, packed.substr(5)));
  EXPECT_EQ(ws.read().first, 0xc1);
  ws.c.send(frame(0x81, "plain"));
  EXPECT_EQ(ws.read().payload, "plain");
  // A bomb: small on the wire, over the limit inside.
  std::string bomb;
  ASSERT_TRUE(wsDeflate(std::string(5'000'000, 'b'), bomb));
  ws.c.send(frame(0xc1, bomb));
  EXPECT_EQ(ws.read().code(), 1009);
  WsClient bad(s.url(), "Sec-WebSocket-Extensions: permessage-deflate\r\n");
  bad.c.send(frame(0xc2, "\xff\xff\xff\xff"));
  EXPECT_EQ(bad.read().code(), 1007);
}

TEST(WebSocketTest, DeflateOffers) {
  EXPECT_TRUE(wsDeflateOffered("permessage-deflate"));
  EXPECT_TRUE(wsDeflateOffered("x-foo, permessage-deflate; client_max_window_bits=10"));
  EXPECT_TRUE(
      wsDeflateOffered("permessage-deflate; server_max_window_bits=10, permessage-deflate"));
  EXPECT_TRUE(wsDeflateOffered("permessage-deflate; server_max_window_bits=\"15\""));
  EXPECT_FALSE(wsDeflateOffered("permessage-deflate; server_max_window_bits=10"));
  EXPECT_FALSE(wsDeflateOffered("permessage-deflate; unknown"));
  EXPECT_FALSE(wsDeflateOffered(""));
}

TEST(WebSocketTest, TheServerClosesWithCodeAndReason) {
  Room room;
  TestServer s(std::ref(room));
  WsClient ws(s.url());
  ws.c.send(frame(0x81, "close me"));
  Frame f = ws.read();
  EXPECT_EQ(f.code(), 4001);
  EXPECT_EQ(f.payload.substr(2), "as you wish");
  ws.c.send(closeFrame(4001));
  EXPECT_EQ(ws.read().first, -1);
  EXPECT_TRUE(eventually([&] { return room.ends() == std::vector<std::string>{"4001 "}; }));
}

TEST(WebSocketTest, SilenceIsPingedThenCut) {
  Room room;
  room.options.ping_interval = milliseconds(100);
  room.options.pong_timeout = milliseconds(200);
  TestServer s(std::ref(room));
  WsClient lively(s.url());
  EXPECT_EQ(lively.read().first, 0x89);
  lively.c.send(frame(0x8a, ""));
  EXPECT_EQ(lively.read().first, 0x89);
  WsClient dead(s.url());
  EXPECT_EQ(dead.read().first, 0x89);
  EXPECT_EQ(dead.read().first, -1);
}

TEST(WebSocketTest, BroadcastFromAnotherThread) {
  Room room;
  Server::Options o = TestServer::defaults();
  o.threads = 2;
  TestServer s(std::ref(room), o);
  std::vector<std::unique_ptr<WsClient>> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(std::make_unique<WsClient>(
        s.url(), i % 2 ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : ""));
  }
  ASSERT_TRUE(eventually([&] { return room.open() == 50; }));
  const std::string text(1000, 'n');
  WsMessage m = WsMessage::text(text);
  for (WebSocket& ws : room.sockets) EXPECT_TRUE(ws.send(m));
  for (std::size_t i = 0; i < 50; ++i) {
    Frame f = clients[i]->read();
    std::string got = f.payload;
    if (f.first & 0x40) {
      got.clear();
      wsInflate(f.payload, got, 1 << 20);
    }
    EXPECT_EQ(f.first, i % 2 ? 0xc1 : 0x81);
    EXPECT_EQ(got, text);
  }
}

TEST(WebSocketTest, AReaderThatDoesNotReadIsCutOff) {
  Room room;
  room.options.max_buffered_bytes = 1'000'000;
  TestServer s(std::ref(room));
  WsClient ws(s.url());
  ASSERT_TRUE(eventually([&] { return room.open() == 1; }));
  const WsMessage m = WsMessage::binary(std::string(100'000, 'x'));
  EXPECT_TRUE(eventually([&] { return !room.sockets[0].send(m); }));
  EXPECT_TRUE(eventually([&] { return room.ends() == std::vector<std::string>{"1006 "}; }));
}

TEST(WebSocketTest, DrainSays1001AndWaitsForTheAnswer) {
  Room room;
  TestServer s(std::ref(room));
  WsClient polite(s.url());
  WsClient rude(s.url());
  ASSERT_TRUE(eventually([&] { return room.open() == 2; }));
  s->drain(Deadline::after(milliseconds(1500)));
  EXPECT_EQ(polite.read().code(), 1001);
  polite.c.send(closeFrame(1001));
  EXPECT_EQ(polite.read().first, -1);
  polite.c.close();
  EXPECT_EQ(rude.read().code(), 1001);
  DrainReport r = s.join();
  EXPECT_EQ(r.connections_closed, 2U);
  EXPECT_EQ(r.aborted, 1U);
}

TEST(WebSocketTest, AnAbruptEndIs1006) {
  Room room;
  TestServer s(std::ref(room));
  {
    WsClient ws(s.url());
    ASSERT_TRUE(eventually([&] { return room.open() == 1; }));
    ws.c.reset();
  }
  EXPECT_TRUE(eventually([&] { return room.ends() == std::vector<std::string>{"1006 "}; }));
  EXPECT_TRUE(room.sockets[0].closed());
  EXPECT_FALSE(room.sockets[0].send("into the void"));
  room.sockets.clear();
}

}  // namespace
}  // namespace godwit::http::test
