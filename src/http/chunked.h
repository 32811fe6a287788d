#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/head.h"

namespace godwit::http {

// Removes the chunked transfer coding, a piece at a time. Extensions and trailers are checked,
// bounded and thrown away.
class ChunkedDecoder {
 public:
  static constexpr std::size_t kMaxExtensionBytes = 4096;  // over the whole body
  static constexpr std::size_t kMaxTrailerBytes = 8192;

  // Takes bytes of `in`, appends data to `out` as long as its size stays within `max_out`, and
  // returns how many were taken: all of them, or up to the end of the body, or up to what was
  // refused.
  std::size_t feed(std::string_view in, std::string& out, std::uint64_t max_out);
  [[nodiscard]] bool done() const { return state_ == State::kDone; }
  [[nodiscard]] const Refusal& refusal() const { return refusal_; }

 private:
  enum class State : std::uint8_t {
    kSizeStart,
    kSize,
    kSpace,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailerName,
    kTrailerValue,
    kTrailerLf,
    kEndLf,
    kDone
  };
  bool refuse(int status, const char* why) {
    refusal_ = {status, why};
    return false;
  }
  bool step(char c);

  State state_ = State::kSizeStart;
  int digits_ = 0;
  std::uint64_t left_ = 0;
  std::uint64_t total_ = 0;
  std::size_t extension_ = 0;
  std::size_t trailer_ = 0;
  Refusal refusal_;
};

}  // namespace godwit::http
