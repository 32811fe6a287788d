#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "godwit/result.h"

namespace godwit::ops {

struct HttpAnswer {
  long status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; of equal ones the last
  std::string body;
};

// One server of Kinto's API, over one connection that is kept open. Waits as long as the server
// asks for (Backoff, Retry-After); tries again what met no answer, 429 or 503, with growing pauses.
// A server that never gave an answer is not tried again: its address is more likely wrong. Every
// request made here may be made twice. One thread; blocks.
class HttpClient {
 public:
  static constexpr std::size_t kMaxAnswer = std::size_t{64} << 20;
  static constexpr std::chrono::seconds kMaxWait{600};     // asked for by the server; more: give up
  static constexpr std::chrono::seconds kAnswerTime{120};  // for one answer
  static constexpr std::chrono::seconds kPatience{300};    // for one request, all tries together

  // `root`: "http://host:port/v1", https, or "unix:/path" (the root is then /v1). `authorization`:
  // "user:password", "Bearer ..." or another whole header value, "" for none.
  HttpClient(const std::string& root, const std::string& authorization);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // `path` is below the root, or a whole URL of the same server (Next-Page). Any status but 401,
  // 429 and 5xx is an answer.
  Result<HttpAnswer> request(const std::string& method, const std::string& path,
                             const std::string& body = {});

  [[nodiscard]] const std::string& root() const;
  // How often a request was made again, and how long was waited for the server's sake.
  [[nodiscard]] std::uint64_t retries() const;
  [[nodiscard]] std::chrono::seconds waited() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

bool isHttpUrl(const std::string& text);

}  // namespace godwit::ops
