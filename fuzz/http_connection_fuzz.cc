// fuzz-links: http net base
// Bytes in, bytes out: a whole connection through a socket pair. The first byte chooses how the
// bytes are split; whatever the split, the answers must be those of one piece, and well-formed.
#include <poll.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/log.h"
#include "godwit/http/forms.h"
#include "godwit/http/websocket.h"
#include "http/shard.h"

namespace godwit::http {

// Defined with Server, which the library links anyway.
namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

class Harness {
 public:
  Harness() {
    log::Options quiet;
    quiet.fd = -1;
    quiet.level = log::Level::kError;
    log::configure(quiet);
    engine_.options.threads = 1;
    engine_.options.limits.max_body_bytes = 100'000;
    engine_.options.limits.max_pipelined = 4;
    engine_.options.limits.max_output_bytes = 4096;
    engine_.head_limits = {2048, 20, false};
    engine_.on_shard_empty = [] {};
    engine_.on_room = [] {};
    engine_.handler = [this](const Request& r, Reply reply) { handle(r, std::move(reply)); };
    engine_.on_head = [](const Request& r) {
      BodyPolicy p;
      p.stream = r.path.starts_with("/stream");
      return p;
    };
    shard_.start(none_);
    peers_.push_back(&shard_);
  }

  std::string converse(std::string_view bytes, unsigned seed) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
      std::abort();
    UniqueFd ours(pair[0]);
    engine_.connections.fetch_add(1);
    shard_.counters().assigned.fetch_add(1);
    // A peer with an address is told of at edges, one without for as long as it lies there.
    shard_.adopt(UniqueFd(pair[1]), seed ? "192.0.2.1" : "", false, 0);
    std::string out;
    while (!bytes.empty()) {
      std::size_t n = bytes.size();
      if (seed) {
        seed = seed * 1103515245 + 12345;
        n = std::min<std::size_t>(n, 1 + (seed >> 16) % (seed & 0x8000 ? 3 : 60));
      }
      ssize_t sent = ::send(ours.get(), bytes.data(), n, MSG_NOSIGNAL);
      if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
      turn(ours.get(), out);
      if (sent < 0 && errno != EAGAIN) break;
    }
    ::shutdown(ours.get(), SHUT_WR);
    for (int i = 0; i < 10'000 && !turn(ours.get(), out); ++i) {
    }
    ours.reset();
    for (int i = 0; i < 100 && shard_.counters().open.get() > 0; ++i) loop_.poll({});
    require(shard_.counters().open.get() == 0, "the connection outlived its peer");
    require(shard_.counters().pending.get() == 0, "a request was left unanswered");
    return out;
  }

 private:
  // True when the server has closed.
  bool turn(int fd, std::string& out) {
    for (int i = 0; i < 3; ++i) loop_.poll({});
    char block[65536];
    for (;;) {
      ssize_t n = ::recv(fd, block, sizeof block, 0);
      if (n == 0) return true;
      if (n < 0) return errno != EAGAIN;
      out.append(block, static_cast<std::size_t>(n));
      require(out.size() < 50'000'000, "endless output");
    }
  }

  void handle(const Request& r, Reply reply) {
    require(!r.method_name.empty() && !r.target.empty(), "a request without its line");
    require(r.path.size() + r.query.size() <= r.target.size() + 1, "path and target disagree");
    (void)parseForm(r.query);
    (void)basicAuth(r);
    (void)parseMultipart(r);
    if (r.path == "/drop") return;
    if (r.path == "/ws") {
      WebSocket::Events e;
      e.message = [](WebSocket& ws, std::string_view m, bool text) {
        text ? ws.send(m) : ws.sendBinary(m);
      };
      WebSocket::accept(r, std::move(reply), std::move(e));
      return;
    }
    if (r.path.starts_with("/stream")) {
      auto held = std::make_shared<Reply>(std::move(reply));
      auto total = std::make_shared<std::size_t>(0);
      held->onBody([held, total](BodyEvent e, std::string_view d) {
        *total += d.size();
        if (e == BodyEvent::kEnd) {
          BodyWriter w = held->stream();
          w.write("got ");
          w.write(std::to_string(*total));
          w.end();
        }
      });
      return;
    }
    std::string text(r.method_name);
    text.append(" ").append(r.target).append(" ").append(r.body);
    for (const Header& h : r.headers) text.append("|").append(h.name).append("=").append(h.value);
    if (r.path == "/later") {
      auto held = std::make_shared<Reply>(std::move(reply));
      reply_loop().post([held, text] { held->send(200, text); });
      return;
    }
    if (r.path == "/large") text.append(100'000, 'x');
    reply.send(200, text);
  }
  net::Loop& reply_loop() { return loop_; }

  Engine engine_;
  net::Loop loop_{0};
  std::vector<Shard*> peers_;
  std::vector<net::Listener> none_;
  Shard shard_{engine_, loop_, peers_};
};

// The Date line and generated ids differ from run to run.
std::string comparable(std::string text) {
  for (std::size_t at = 0; (at = text.find("\r\nDate: ", at)) != std::string::npos;) {
    text.erase(at, 37);
  }
  return text;
}

// Every answer must be framed: a status line, a head, and as much body as it says.
void check(std::string_view out) {
  while (!out.empty()) {
    require(out.starts_with("HTTP/1.1 "), "an answer without status line");
    std::size_t end = out.find("\r\n\r\n");
    require(end != std::string_view::npos, "an answer without end of head");
    std::string_view head = out.substr(0, end + 2);
    int status = std::atoi(std::string(head.substr(9, 3)).c_str());
    require(status >= 100 && status < 600, "an answer with an odd status");
    if (status == 101) return;  // frames follow
    // Bodies repeat what came in and may look like anything: follow the length.
    if (head.find("\r\nTransfer-Encoding: chunked\r\n") != std::string_view::npos) return;
    std::size_t length = head.find("\r\nContent-Length: ");
    std::size_t n = length == std::string_view::npos
                        ? 0
                        : std::strtoull(head.data() + length + 18, nullptr, 10);
    out.remove_prefix(end + 4);
    // Neither length nor chunks: the body ends with the connection.
    if (length == std::string_view::npos && status >= 200 && status != 204 && status != 304) return;
    // The answer to a HEAD has no body, and nothing here tells which that is.
    if (out.size() < n || (n > 0 && out.starts_with("HTTP/1.1 "))) return;
    out.remove_prefix(n);
  }
}

}  // namespace
}  // namespace godwit::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::http;
  if (size < 2) return 0;
  static Harness& harness = *new Harness;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string raw = harness.converse(bytes, 0);
  check(raw);
  const std::string whole = comparable(raw);
  const std::string split = comparable(harness.converse(bytes, 1U + data[0]));
  require(whole == split, "a split changed the answers");
  return 0;
}
