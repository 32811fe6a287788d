#pragma once

#include <string>

#include "godwit/deadline.h"
#include "godwit/result.h"

namespace godwit::cli {

struct HttpAnswer {
  int status = 0;
  std::string body;
};

// One GET over plain HTTP/1.1, for looking at our own server. `url` is "http://host[:port]/path" or
// "unix:/socket" (then `path` is asked for). Blocks up to the deadline; answers over 1 MiB are
// refused. No redirects, no TLS.
Result<HttpAnswer> httpGet(const std::string& url, const std::string& path, Deadline deadline);

}  // namespace godwit::cli
