#include "http/chunked.h"

#include <algorithm>

#include "http/text.h"

namespace godwit::http {
namespace {
int hexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
bool isControl(char c) {
  auto u = static_cast<unsigned char>(c);
  return (u < 0x20 && u != '\t') || u == 0x7f;
}
}  // namespace

std::size_t ChunkedDecoder::feed(std::string_view in, std::string& out, std::uint64_t max_out) {
  std::size_t i = 0;
  while (i < in.size() && state_ != State::kDone) {
    if (state_ == State::kData) {
      auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size() - i));
      out.append(in.substr(i, n));
      left_ -= n;
      i += n;
      if (left_ == 0) state_ = State::kDataCr;
      continue;
    }
    const bool sized = state_ == State::kSizeLf;
    if (!step(in[i])) return i;
    if (sized && left_ > 0) {
      // Refused as soon as the size is known, before a byte of it is taken.
      if (left_ > max_out || total_ > max_out - left_) {
        refuse(413, "request body too large");
        return i;
      }
      total_ += left_;
    }
    ++i;
  }
  return i;
}

bool ChunkedDecoder::step(char c) {
  switch (state_) {
    case State::kSizeStart:
    case State::kSize:
      if (int v = hexDigit(c); v >= 0) {
        if (++digits_ > 15) return refuse(400, "chunk size too large");
        left_ = left_ << 4 | static_cast<unsigned>(v);
        state_ = State::kSize;
        return true;
      }
      if (state_ == State::kSizeStart) return refuse(400, "malformed chunk size");
      [[fallthrough]];
    case State::kSpace:
      if (c == ';') {
        state_ = State::kExtension;
      } else if (c == ' ' || c == '\t') {
        if (++extension_ > kMaxExtensionBytes) return refuse(400, "chunk extensions too large");
        state_ = State::kSpace;
      } else if (c == '\r' && state_ == State::kSize) {
        state_ = State::kSizeLf;
      } else {
        return refuse(400, "malformed chunk size");
      }
      return true;
    case State::kExtension:
      if (c == '\r') {
        state_ = State::kSizeLf;
        return true;
      }
      if (isControl(c)) return refuse(400, "control byte in a chunk extension");
      if (++extension_ > kMaxExtensionBytes) return refuse(400, "chunk extensions too large");
      return true;
    case State::kSizeLf:
      if (c != '\n') return refuse(400, "bare CR in a chunk header");
      digits_ = 0;
      state_ = left_ == 0 ? State::kTrailerStart : State::kData;
      return true;
    case State::kDataCr:
      if (c != '\r') return refuse(400, "chunk longer than its size");
      state_ = State::kDataLf;
      return true;
    case State::kDataLf:
      if (c != '\n') return refuse(400, "bare CR after a chunk");
      state_ = State::kSizeStart;
      return true;
    case State::kTrailerStart:
      if (c == '\r') {
        state_ = State::kEndLf;
        return true;
      }
      if (!isTokenChar(c)) return refuse(400, "malformed trailer");
      state_ = State::kTrailerName;
      break;
    case State::kTrailerName:
      if (c == ':') {
        state_ = State::kTrailerValue;
      } else if (!isTokenChar(c)) {
        return refuse(400, "malformed trailer");
      }
      break;
    case State::kTrailerValue:
      if (c == '\r') {
        state_ = State::kTrailerLf;
      } else if (isControl(c)) {
        return refuse(400, "control byte in a trailer");
      }
      break;
    case State::kTrailerLf:
      if (c != '\n') return refuse(400, "bare CR in a trailer");
      state_ = State::kTrailerStart;
      break;
    case State::kEndLf:
      if (c != '\n') return refuse(400, "bare CR after the trailers");
      state_ = State::kDone;
      return true;
    case State::kData:
    case State::kDone:
      return true;
  }
  if (++trailer_ > kMaxTrailerBytes) return refuse(431, "trailers too large");
  return true;
}

}  // namespace godwit::http
