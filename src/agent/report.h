// The agent's own numbers, as JSON (/stats), as Prometheus text (/metrics) and as flat counters
// (godwit.*). Pure: gets a snapshot, gives text.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/aggregation.h"
#include "agent/ingest.h"
#include "agent/inlet.h"
#include "agent/log.h"
#include "agent/publisher.h"
#include "agent/redis_receiver.h"
#include "agent/resp_server.h"
#include "agent/statsd_server.h"
#include "agent/streams_receiver.h"

namespace godwit::agent {

struct ReportInput {
  std::string state;
  std::string agent_id;
  double uptime_s = 0;
  std::string spool;
  Log::Totals log;
  std::array<Inlet::Received, static_cast<std::size_t>(Source::kCount)> received{};
  std::array<metrics::spool::WriterStats, 3> writers;
  std::optional<StatsdServerStats> statsd;
  AggregationStats aggregation;
  std::optional<RedisReceiverStats> redis;
  std::optional<StreamsStats> streams;
  std::optional<RespStats> resp;
  std::optional<IngestStats> http;
  std::uint64_t http_connections = 0;
  std::vector<PublisherStats> publishers;
  std::vector<std::string> foreign_cursors;
};

std::string reportJson(const ReportInput& in);
// Text format 0.0.4, or OpenMetrics without its "# EOF"; every name begins with godwit_agent_.
std::string reportPrometheus(const ReportInput& in, bool open_metrics);
// Counters that only grow, "name|key=value" -> value.
std::map<std::string, double> reportCounters(const ReportInput& in);

}  // namespace godwit::agent
