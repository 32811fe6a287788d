#pragma once

#include <chrono>
#include <string_view>

namespace godwit::http {

// One answered request, as a metrics library wants it: a RequestTime, and the counters Failure and
// ClientError that are 1 or 0, with the dimension `method`.
struct RequestSample {
  std::string_view route;   // pattern or name given to Router; "" outside one. Bounded in number.
  std::string_view method;  // as sent when known to the server, else "other": bounded too
  std::chrono::nanoseconds request_time;
  int status;
  [[nodiscard]] bool failure() const { return status >= 500; }
  [[nodiscard]] bool clientError() const { return status >= 400 && status < 500; }
};

// Where samples go. Called on loop threads, several at once; must not block. Outlives the server.
class RequestMetrics {
 public:
  virtual ~RequestMetrics() = default;
  virtual void record(const RequestSample& sample) = 0;
};

}  // namespace godwit::http
