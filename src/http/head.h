#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "godwit/http/request.h"

namespace godwit::http {

// Why a request cannot be served; status 0 means it can.
struct Refusal {
  int status = 0;
  const char* why = "";
};

struct HeadLimits {
  std::size_t max_bytes = 16 * 1024;
  std::size_t max_headers = 100;
  bool any_authority = false;  // absolute-form whose authority differs from Host
};

// Finds the end of a request head. Bytes are judged in order of arrival, so that a split at any
// point gives the result of one piece. A plain value; start a new one per request.
struct HeadScan {
  std::size_t at = 0;        // everything before has been looked at
  std::size_t line_end = 0;  // after the request line's CRLF; 0: not seen
  std::size_t end = 0;       // after the empty line; 0: not seen
  Refusal refusal;

  // `data` starts with the request line and holds all of the head that has arrived. True when
  // decided: `end` or `refusal` is set.
  bool advance(std::string_view data, const HeadLimits& limits);
};

enum class Framing : std::uint8_t { kNone, kLength, kChunked };

struct HeadFacts {
  Framing framing = Framing::kNone;
  std::uint64_t length = 0;
  bool keep_alive = true;
  bool expect_continue = false;
  bool upgrade = false;  // Connection: upgrade
  std::string_view request_id;
};

// Tokenises a complete head and applies RFC 9112's rules of refusal. Views point into `head`. Any
// thread.
Refusal parseHead(std::string_view head, const HeadLimits& limits, Request& request,
                  std::vector<Header>& headers, HeadFacts& facts);

}  // namespace godwit::http
