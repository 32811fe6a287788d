// Requests to an OTLP receiver, and what their answers mean. One thread, but for abort().
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/http_client.h"
#include "agent/target.h"

namespace godwit::agent {

struct OtlpAddress {
  std::string url;  // of /v1/metrics; empty: nothing is sent
  std::vector<std::string> headers;
  bool json = false;
  bool gzip = true;
  std::chrono::nanoseconds timeout{10'000'000'000};
};

class OtlpClient {
 public:
  struct Answer {
    Outcome outcome;
    double seconds = 0;
    // Accepted, but for so many: the receiver does not say which.
    std::int64_t rejected = 0;
    std::string why;
  };
  Answer post(const OtlpAddress& to, std::string body);
  // Any thread: ends a post() that waits, for good.
  void abort() { http_.abort(); }

 private:
  HttpClient http_;
};

}  // namespace godwit::agent
