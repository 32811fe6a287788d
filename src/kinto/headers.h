#pragma once

#include <span>
#include <string_view>

#include "godwit/http/request.h"

namespace godwit::kinto {

// The request headers the API looks at, gathered in one pass. Views into the request.
struct Headers {
  std::string_view authorization, content_type, accept, if_match, if_none_match, origin, host;
  std::string_view response_behavior, request_method, request_headers;  // CORS preflight asks
  std::string_view user_agent, accept_language;
  bool has_accept = false, has_if_match = false, has_if_none_match = false;
  bool has_response_behavior = false, has_origin = false;

  void set(std::string_view name, std::string_view value);
};

// Into `out`, which is empty.
void gather(std::span<const http::Header> headers, Headers& out);

}  // namespace godwit::kinto
