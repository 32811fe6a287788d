#pragma once

#include <string>
#include <string_view>

#include "godwit/result.h"

namespace godwit::store::redis {

// redis://[user][:password@]host[:port][/database], or unix:///path[?db=n].
struct Options {
  std::string host = "127.0.0.1";
  int port = 6379;
  std::string socket;  // a unix socket instead
  std::string user;
  std::string password;
  int database = 0;
  std::string prefix;  // of every key
};

// kUnsupported for rediss:// (no TLS to Redis), kInvalid for what is no Redis URL.
Result<Options> parseUrl(std::string_view url);

}  // namespace godwit::store::redis
