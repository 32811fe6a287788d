// HTTP/1.0 and 1.1 requests (RFC 9112), as much as a metrics endpoint needs: Content-Length and
// chunked bodies, keep-alive, "Expect: 100-continue". Incremental, pure, bounded.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace godwit::agent {

struct HttpRequest {
  std::string method;
  std::string target;                                        // as sent: path and query
  std::string path;                                          // percent-decoded
  std::vector<std::pair<std::string, std::string>> query;    // decoded
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  bool keep_alive = true;

  [[nodiscard]] std::string_view header(std::string_view lower_name) const;
  [[nodiscard]] std::string_view param(std::string_view name) const;
};

struct HttpLimits {
  std::size_t header_bytes = 16 * 1024;
  std::size_t body_bytes = 32 * 1024 * 1024;
};

class HttpParser {
 public:
  enum class State { kNeedMore, kDone, kError };

  explicit HttpParser(HttpLimits limits = {}) : limits_(limits) {}

  // Consumes what it can of `data`, and says in `used` how much that was. After kDone take
  // request() and call reset(); what is left of `data` belongs to the next request.
  State feed(std::string_view data, std::size_t& used);

  [[nodiscard]] HttpRequest& request() { return request_; }
  // True once, when the client waits for "100 Continue" before it sends the body.
  [[nodiscard]] bool takeExpectContinue() { return std::exchange(expect_continue_, false); }
  // After kError: what to answer (400, 413, 431, 501, 505).
  [[nodiscard]] int errorStatus() const { return error_; }
  // Nothing of a request has been read.
  [[nodiscard]] bool idle() const { return phase_ == Phase::kHead && head_.empty(); }
  void reset();

 private:
  enum class Phase { kHead, kBody, kChunkSize, kChunkData, kChunkEnd, kTrailer, kDone, kError };

  State fail(int status);
  State parseHead();
  bool takeLine(std::string_view data, std::size_t& used);

  HttpLimits limits_;
  HttpRequest request_;
  Phase phase_ = Phase::kHead;
  std::string head_;  // the head, then chunk-size and trailer lines
  std::size_t left_ = 0;
  std::size_t trailer_bytes_ = 0;
  bool expect_continue_ = false;
  int error_ = 0;
};

}  // namespace godwit::agent
