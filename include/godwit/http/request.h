#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace godwit::http {

enum class Method : std::uint8_t {
  kGet,
  kHead,
  kPost,
  kPut,
  kPatch,
  kDelete,
  kOptions,
  kTrace,
  kConnect,
  kOther
};

Method methodFromString(
    std::string_view name);                // methods are case sensitive (RFC 9110 section 9.1)
std::string_view toString(Method method);  // "" for kOther

struct Header {
  std::string_view name;   // as sent
  std::string_view value;  // without surrounding white space
};

// One request as it was read. A plain bundle of views: whoever made it owns the bytes. For requests
// that a server hands to a handler they stay valid until the Reply is sent or dropped.
struct Request {
  Method method = Method::kGet;
  std::string_view method_name;  // as sent; needed for kOther
  std::string_view target;       // request-target as sent, "/a%20b?x=1"
  std::string_view path;         // before '?', still percent-encoded
  std::string_view query;        // after '?', still percent-encoded, "" when absent
  std::span<const Header> headers;
  std::string_view body;    // complete, transfer coding removed
  std::string_view remote;  // peer address "127.0.0.1", "" for unix sockets
  std::string_view id;      // X-Request-Id if acceptable ([A-Za-z0-9._-]{1,64}), else generated
  int minor_version = 1;    // HTTP/1.x
  bool tls = false;
  std::uint64_t connection = 0;  // for Server::post
  std::uint32_t listener = 0;    // which listen() it came through, counted from 0

  // First header of that name, ASCII case ignored; "" when absent (see has).
  [[nodiscard]] std::string_view header(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const;
};

}  // namespace godwit::http
