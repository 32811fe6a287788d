#include "http/ws_codec.h"

#include <openssl/sha.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "base/encoding.h"
#include "http/give_back.h"
#include "http/text.h"

namespace godwit::http {
namespace {

constexpr int kWindowBits = 15;
constexpr std::string_view kTail("\x00\x00\xff\xff", 4);

// One deflater and one inflater per thread: without context takeover messages share nothing.
struct Deflater {
  z_stream z{};
  bool ok = deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, -kWindowBits, 8, Z_DEFAULT_STRATEGY) == Z_OK;
  ~Deflater() {
    if (ok) deflateEnd(&z);
  }
};
struct Inflater {
  z_stream z{};
  bool ok = inflateInit2(&z, -kWindowBits) == Z_OK;
  ~Inflater() {
    if (ok) inflateEnd(&z);
  }
};

Bytef* bytes(std::string_view s) { return reinterpret_cast<Bytef*>(const_cast<char*>(s.data())); }

bool validCode(std::uint16_t code) {
  if (code >= 3000 && code <= 4999) return true;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

}  // namespace

void wsFrame(std::string& out, WsOpcode opcode, std::string_view payload, bool deflated) {
  const std::size_t n = payload.size();
  out.push_back(static_cast<char>(0x80 | (deflated ? 0x40 : 0) | static_cast<int>(opcode)));
  auto big = [&](int width) {
    for (int i = width - 1; i >= 0; --i) out.push_back(static_cast<char>(n >> (8 * i) & 0xff));
  };
  if (n < 126) {
    out.push_back(static_cast<char>(n));
  } else if (n <= 0xffff) {
    out.push_back(126);
    big(2);
  } else {
    out.push_back(127);
    big(8);
  }
  out.append(payload);
}

bool wsDeflate(std::string_view in, std::string& out) {
  thread_local Deflater d;
  if (!d.ok || deflateReset(&d.z) != Z_OK) return false;
  const std::size_t start = out.size();
  out.resize(start + deflateBound(&d.z, static_cast<uLong>(in.size())) + 16);
  d.z.next_in = bytes(in);
  d.z.avail_in = static_cast<uInt>(in.size());
  d.z.next_out = reinterpret_cast<Bytef*>(out.data() + start);
  d.z.avail_out = static_cast<uInt>(out.size() - start);
  if (deflate(&d.z, Z_SYNC_FLUSH) != Z_OK || d.z.avail_out == 0) {
    out.resize(start);
    return false;
  }
  out.resize(out.size() - d.z.avail_out);
  if (std::string_view(out).ends_with(kTail)) out.resize(out.size() - kTail.size());
  return true;
}

std::uint16_t wsInflate(std::string_view in, std::string& out, std::size_t max) {
  thread_local Inflater f;
  if (!f.ok || inflateReset(&f.z) != Z_OK) return 1011;
  char block[16384];
  for (std::string_view part : {in, kTail}) {
    f.z.next_in = bytes(part);
    f.z.avail_in = static_cast<uInt>(part.size());
    do {
      f.z.next_out = reinterpret_cast<Bytef*>(block);
      f.z.avail_out = sizeof block;
      int rc = inflate(&f.z, Z_SYNC_FLUSH);
      if (rc != Z_OK && rc != Z_BUF_ERROR && rc != Z_STREAM_END) return 1007;
      const std::size_t n = sizeof block - f.z.avail_out;
      if (out.size() + n > max) return 1009;
      out.append(block, n);
      if (rc == Z_STREAM_END) return f.z.avail_in == 0 || part == kTail ? 0 : 1007;
      if (rc == Z_BUF_ERROR && n == 0) break;
    } while (f.z.avail_in > 0 || f.z.avail_out == 0);
  }
  return 0;
}

std::string wsAccept(std::string_view key) {
  std::optional<std::string> raw = base64Decode(key);
  if (!raw || raw->size() != 16 || key.size() != 24) return {};
  std::string text(key);
  text += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return base64Encode({reinterpret_cast<const char*>(digest), sizeof digest});
}

bool wsDeflateOffered(std::string_view extensions) {
  bool found = false;
  forEachMember(extensions, [&](std::string_view offer) {
    std::size_t semicolon = offer.find(';');
    if (!iequals(trim(offer.substr(0, semicolon)), "permessage-deflate")) return;
    bool good = true;
    while (semicolon != std::string_view::npos) {
      offer.remove_prefix(semicolon + 1);
      semicolon = offer.find(';');
      std::string_view p = trim(offer.substr(0, semicolon));
      std::size_t equals = p.find('=');
      std::string_view name = trim(p.substr(0, equals));
      std::string_view value =
          equals == std::string_view::npos ? std::string_view() : trim(p.substr(equals + 1));
      if (value.size() > 1 && value.front() == '"' && value.back() == '"') {
        value = value.substr(1, value.size() - 2);
      }
      if (iequals(name, "server_no_context_takeover") ||
          iequals(name, "client_no_context_takeover")) {
        good &= equals == std::string_view::npos;
      } else if (iequals(name, "client_max_window_bits")) {
        continue;  // a hint that we need not take up
      } else if (iequals(name, "server_max_window_bits")) {
        good &= value == "15";  // messages are compressed once for all sockets
      } else {
        good = false;
      }
    }
    found |= good;
  });
  return found;
}

std::uint16_t WsDecoder::feed(std::string_view in, Sink& sink) {
  while (!sink.done()) {
    if (!in_payload_) {
      if (in.empty()) return 0;
      const std::size_t n = std::min(in.size(), head_need_ - head_size_);
      std::memcpy(head_ + head_size_, in.data(), n);
      head_size_ += n;
      in.remove_prefix(n);
      if (head_size_ < head_need_) return 0;
      if (std::uint16_t code = header()) return code;
      if (!in_payload_) continue;
    }
    const bool control = opcode_ >= WsOpcode::kClose;
    std::string& to = control ? control_ : message_;
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(in.size(), left_));
    const std::size_t start = to.size();
    to.append(in.substr(0, n));
    for (std::size_t i = 0; i < n; ++i) {
      to[start + i] =
          static_cast<char>(static_cast<unsigned char>(to[start + i]) ^ mask_[(taken_ + i) & 3]);
    }
    taken_ += n;
    left_ -= n;
    in.remove_prefix(n);
    if (left_ > 0) return 0;
    in_payload_ = false;
    head_size_ = 0;
    head_need_ = 2;
    if (std::uint16_t code = frameEnd(sink)) return code;
  }
  return 0;
}

// All of head_need_ is there: asks for more or starts the payload.
std::uint16_t WsDecoder::header() {
  const unsigned length = head_[1] & 0x7f;
  if (head_size_ == 2) {
    fin_ = head_[0] & 0x80;
    const bool rsv1 = head_[0] & 0x40;
    const unsigned op = head_[0] & 0x0f;
    if (head_[0] & 0x30) return 1002;
    if (op > 10 || (op > 2 && op < 8)) return 1002;
    if (!(head_[1] & 0x80)) return 1002;  // clients must mask
    opcode_ = static_cast<WsOpcode>(op);
    const bool control = op >= 8;
    if (control && (!fin_ || length > 125 || rsv1)) return 1002;
    if (!control) {
      if ((op == 0) != in_message_) return 1002;
      if (rsv1 && (op == 0 || !deflate_)) return 1002;
      if (op != 0) {
        in_message_ = true;
        text_ = opcode_ == WsOpcode::kText;
        compressed_ = rsv1;
        message_.clear();
      }
    }
    head_need_ = 6 + (length == 126 ? 2 : length == 127 ? 8 : 0);
    return 0;
  }
  left_ = length;
  const std::size_t extended = head_need_ - 6;
  if (extended) {
    left_ = 0;
    for (std::size_t i = 0; i < extended; ++i) left_ = left_ << 8 | head_[2 + i];
    if (left_ >> 63 || left_ < (extended == 2 ? 126U : 65536U)) return 1002;
  }
  std::memcpy(mask_, head_ + 2 + extended, 4);
  if (opcode_ < WsOpcode::kClose && left_ > max_ - std::min(max_, message_.size())) return 1009;
  control_.clear();
  taken_ = 0;
  in_payload_ = true;
  return 0;
}

std::uint16_t WsDecoder::frameEnd(Sink& sink) {
  switch (opcode_) {
    case WsOpcode::kPing:
      sink.onPing(control_);
      return 0;
    case WsOpcode::kPong:
      sink.onPong(control_);
      return 0;
    case WsOpcode::kClose: {
      if (control_.empty()) {
        sink.onCloseFrame(1005, {});
        return 0;
      }
      if (control_.size() == 1) return 1002;
      auto code = static_cast<std::uint16_t>(static_cast<unsigned char>(control_[0]) << 8 |
                                             static_cast<unsigned char>(control_[1]));
      std::string_view reason = std::string_view(control_).substr(2);
      if (!validCode(code)) return 1002;
      if (!isValidUtf8(reason)) return 1007;
      sink.onCloseFrame(code, reason);
      return 0;
    }
    default:
      return fin_ ? messageEnd(sink) : std::uint16_t{0};
  }
}

std::uint16_t WsDecoder::messageEnd(Sink& sink) {
  in_message_ = false;
  std::string message = std::move(message_);
  giveBack(message_);
  if (compressed_) {
    std::string plain;
    if (std::uint16_t code = wsInflate(message, plain, max_)) return code;
    message = std::move(plain);
  }
  if (text_ && !isValidUtf8(message)) return 1007;
  sink.onMessage(message, text_);
  return 0;
}

}  // namespace godwit::http
