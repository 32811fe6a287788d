// One outgoing HTTP connection, kept alive between requests. Blocking with a deadline; another
// thread can abort. Uses libcurl.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::agent {

struct HttpAnswer {
  enum class Kind {
    kAnswered,     // status and body are set
    kUnreachable,  // no connection: nothing was sent
    kBroken,       // timeout, reset: it may have been processed
    kAborted,
  };
  Kind kind = Kind::kUnreachable;
  int status = 0;
  std::string body;  // at most 16 KiB of it
  double retry_after_s = -1;
  std::string error;
};

class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  HttpAnswer post(const std::string& url, const std::vector<std::string>& headers,
                  std::string_view body, std::chrono::nanoseconds timeout);
  // Any thread. Ends a running request, and every later one at once.
  void abort();

 private:
  bool prepare();

  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::mutex mu_;  // abort() against the making of the handles
  std::atomic<bool> aborted_{false};
};

// gzip, level 1.
bool gzipCompress(std::string_view in, std::string& out);
// gzip or zlib; false when damaged or over `limit`.
bool gzipDecompress(std::string_view in, std::size_t limit, std::string& out);

}  // namespace godwit::agent
