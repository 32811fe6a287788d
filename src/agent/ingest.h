// What clients send over HTTP, turned into frames: InfluxDB line protocol and Kadabra's JSON.
// Appends before it answers. Loop thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/http_server.h"
#include "agent/inlet.h"

namespace godwit::agent {

struct IngestStats {
  std::uint64_t lines = 0;
  std::uint64_t bad_lines = 0;  // refused with an answer that says so
  std::uint64_t messages = 0;
  std::uint64_t bad_messages = 0;
};

class Ingest {
 public:
  Ingest(Inlet& inlet, std::string token, std::size_t max_body)
      : inlet_(inlet), token_(std::move(token)), max_body_(max_body) {}

  // POST /write, POST /api/v2/write.
  HttpReply lines(HttpRequest& request);
  // POST /godwit/v1/metrics.
  HttpReply json(HttpRequest& request);
  [[nodiscard]] const IngestStats& stats() const { return stats_; }

 private:
  bool prepare(HttpRequest& request, HttpReply& reply);
  bool allowed(const HttpRequest& request) const;

  Inlet& inlet_;
  std::string token_;
  std::size_t max_body_;
  IngestStats stats_;
};

}  // namespace godwit::agent
