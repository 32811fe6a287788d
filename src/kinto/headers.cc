#include "kinto/headers.h"

#include "base/text.h"

namespace godwit::kinto {

void Headers::set(std::string_view name, std::string_view value) {
  // The length tells most names apart before any comparison.
  switch (name.size()) {
    case 4:
      if (equalIgnoreCase(name, "host")) host = value;
      break;
    case 6:
      if (equalIgnoreCase(name, "accept")) {
        accept = value;
        has_accept = true;
      } else if (equalIgnoreCase(name, "origin")) {
        origin = value;
        has_origin = !value.empty();
      }
      break;
    case 8:
      if (equalIgnoreCase(name, "if-match")) {
        if_match = value;
        has_if_match = !value.empty();
      }
      break;
    case 10:
      if (equalIgnoreCase(name, "user-agent")) user_agent = value;
      break;
    case 12:
      if (equalIgnoreCase(name, "content-type")) content_type = value;
      break;
    case 13:
      if (equalIgnoreCase(name, "authorization")) {
        authorization = value;
      } else if (equalIgnoreCase(name, "if-none-match")) {
        if_none_match = value;
        has_if_none_match = !value.empty();
      }
      break;
    case 15:
      if (equalIgnoreCase(name, "accept-language")) accept_language = value;
      break;
    case 17:
      if (equalIgnoreCase(name, "response-behavior")) {
        response_behavior = value;
        has_response_behavior = true;
      }
      break;
    case 29:
      if (equalIgnoreCase(name, "access-control-request-method")) request_method = value;
      break;
    case 30:
      if (equalIgnoreCase(name, "access-control-request-headers")) request_headers = value;
      break;
    default:
      break;
  }
}

void gather(std::span<const http::Header> headers, Headers& out) {
  for (const http::Header& h : headers) out.set(h.name, h.value);
}

}  // namespace godwit::kinto
