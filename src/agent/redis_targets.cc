#include "agent/redis_targets.h"

#include <hiredis/hiredis.h>

#include <algorithm>

#include "metrics/wire_json.h"

namespace godwit::agent {
namespace {

constexpr std::size_t kValues = 64;  // in one LPUSH: longer ones hold up other clients

}  // namespace

RedisListTarget::RedisListTarget(const Section& s, const TargetContext& context)
    : key_(s.text("queue_key")), host_(context.host), redis_(redisAddress(s)) {}

void RedisListTarget::addMetrics(const metrics::Metrics& m, std::uint32_t index,
                                 const FrameRef& frame, Batch& batch) {
  auto& unsupported = batch.counts.dropped[static_cast<std::size_t>(Drop::kUnsupported)];
  unsupported += m.extra.size();
  auto samples = static_cast<std::uint32_t>(m.counters.size() + m.timers.size());
  if (samples == 0) return;
  std::size_t offset = batch.body.size();
  if (frame.type == FrameType::kKadabraJson) {
    batch.body += frame.payload;
  } else {
    bool has_host = host_.empty();
    for (const auto& d : m.dims) has_host = has_host || d.first == "host";
    std::int64_t at = m.counters.empty() ? m.timers.front().ts : m.counters.front().ts;
    if (has_host) {
      metrics::appendWireJson(batch.body, m, at);
    } else {
      metrics::Metrics copy = m;
      copy.dims.emplace_back("host", host_);
      metrics::appendWireJson(batch.body, copy, at);
    }
  }
  batch.units.push_back({static_cast<std::uint32_t>(offset),
                         static_cast<std::uint32_t>(batch.body.size() - offset), samples, index,
                         frame.lane, frame.seq});
}

void RedisListTarget::addLine(std::string_view, std::uint32_t, const FrameRef&, Batch& batch) {
  ++batch.counts.dropped[static_cast<std::size_t>(Drop::kUnsupported)];
}

// A push whose answer is lost may have happened; it is then pushed again. The messages carry their
// own timestamps, so a database keeps one point.
Outcome RedisListTarget::send(const Batch& batch, std::size_t first, std::size_t last) {
  Outcome o;
  o.kind = Outcome::Kind::kRetry;
  if (auto r = redis_.connect(); !r) {
    o.unreachable = true;
    o.message = r.error().message;
    return o;
  }
  std::size_t commands = 0;
  for (std::size_t i = first; i < last;) {
    std::vector<std::string_view> args{"LPUSH", key_};
    for (std::size_t n = 0; n < kValues && i < last; ++n, ++i) {
      args.push_back(
          std::string_view(batch.body).substr(batch.units[i].offset, batch.units[i].size));
    }
    redis_.append(args);
    ++commands;
  }
  std::string refused;
  for (std::size_t i = 0; i < commands; ++i) {
    auto r = redis_.next();
    if (!r) {
      o.message = r.error().message;
      return o;
    }
    if ((*r)->type == REDIS_REPLY_ERROR) refused.assign((*r)->str, (*r)->len);
  }
  o.message = refused;
  if (refused.empty()) o.kind = Outcome::Kind::kOk;
  return o;
}

}  // namespace godwit::agent
