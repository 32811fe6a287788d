// fuzz-links: http net base
// WebSocket frames: the same events whatever the split, messages within the limit and, as text,
// valid UTF-8; what is deflated inflates to itself.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/encoding.h"
#include "http/ws_codec.h"

namespace {

using namespace godwit::http;

constexpr std::size_t kMax = 10'000;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Log final : WsDecoder::Sink {
  std::string text;
  bool closed = false;
  void onMessage(std::string_view m, bool is_text) override {
    require(m.size() <= kMax);
    require(!is_text || godwit::isValidUtf8(m));
    text.append(is_text ? "T" : "B").append(m);
  }
  void onPing(std::string_view p) override { text.append("p").append(p); }
  void onPong(std::string_view p) override { text.append("q").append(p); }
  void onCloseFrame(std::uint16_t code, std::string_view reason) override {
    text.append("c").append(std::to_string(code)).append(reason);
    closed = true;
  }
  [[nodiscard]] bool done() const override { return closed; }
};

std::string decode(std::string_view in, std::size_t step, bool deflate) {
  WsDecoder d(kMax, deflate);
  Log log;
  while (!in.empty() && !log.closed) {
    std::size_t n = step ? std::min(step, in.size()) : in.size();
    if (std::uint16_t code = d.feed(in.substr(0, n), log)) {
      return log.text + "!" + std::to_string(code);
    }
    in.remove_prefix(n);
  }
  return log.text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view in(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool deflate = data[0] & 1;
  const std::string whole = decode(in, 0, deflate);
  require(decode(in, 1, deflate) == whole);
  require(decode(in, 2 + data[0] / 2 % 20, deflate) == whole);
  std::string packed;
  std::string back;
  if (wsDeflate(in, packed)) {
    require(wsInflate(packed, back, in.size()) == 0 && back == in);
  }
  (void)wsDeflateOffered(in);
  (void)wsAccept(in);
  return 0;
}
