#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <string_view>

#include "godwit/metrics/client.h"
#include "godwit_metrics.h"
#include "metrics/metrics_binary.h"
#include "metrics/wire_json.h"

#ifndef GODWIT_VERSION
#define GODWIT_VERSION "0"
#endif

namespace gm = godwit::metrics;

struct godwit_metrics_client {
  gm::Client client;
};
struct godwit_metrics_collector {
  gm::Collector collector;
};

namespace {

// No exception crosses the border, whatever happens inside.
template <class Fn>
int guarded(Fn fn) noexcept {
  try {
    return fn();
  } catch (const gm::CollectorClosed&) {
    return GODWIT_METRICS_CLOSED;
  } catch (const std::exception&) {
    return GODWIT_METRICS_NO_MEMORY;
  }
}

template <class T, class Fn>
T* guardedPointer(Fn fn) noexcept {
  try {
    return fn();
  } catch (const std::exception&) {
    return nullptr;
  }
}

gm::Dims dimensions(const char* const* pairs) {
  gm::Dims out;
  for (; pairs && pairs[0] && pairs[1]; pairs += 2) out.emplace_back(pairs[0], pairs[1]);
  return out;
}

template <class T, class V>
void take(T& option, V value) {
  if (value != 0) option = static_cast<T>(value);
}

gm::Options translate(const godwit_metrics_options* given) {
  gm::Options o;
  if (!given) return o;
  // A caller built against an older header has a shorter struct.
  godwit_metrics_options c{};
  std::memcpy(&c, given, std::min(given->size, sizeof c));
  if (c.spool_dir) o.spool_dir = c.spool_dir;
  if (c.timestamp_format) o.timestamp_format = c.timestamp_format;
  o.default_dimensions = dimensions(c.default_dimensions);
  if (c.channel == GODWIT_METRICS_CHANNEL_REDIS) o.channel = gm::Channel::Redis;
  if (c.on_full == GODWIT_METRICS_DROP_NEWEST) o.on_full = gm::OnFull::DropNewest;
  if (c.on_full == GODWIT_METRICS_BLOCK) o.on_full = gm::OnFull::Block;
  if (c.block_timeout_ms) o.block_timeout = std::chrono::milliseconds(c.block_timeout_ms);
  if (c.flush_interval_ms) o.flush_interval = std::chrono::milliseconds(c.flush_interval_ms);
  take(o.max_bytes, c.max_bytes);
  take(o.max_lane_bytes, c.max_lane_bytes);
  take(o.segment_size, c.segment_size);
  take(o.ring_bytes, c.ring_bytes);
  take(o.max_handles, c.max_handles);
  if (c.min_free < 0) {
    o.min_free = 0;
  } else if (c.min_free > 0) {
    o.min_free = std::min(c.min_free, 1.0);
  }
  return o;
}

gm::Unit unitOf(const char* name, double per_second) {
  return name && *name ? gm::Unit{name, per_second} : gm::Milliseconds;
}

std::size_t copyOut(const std::string& s, char* out, std::size_t size) {
  if (out && size > 0) {
    const std::size_t n = std::min(s.size(), size - 1);
    std::memcpy(out, s.data(), n);
    out[n] = '\0';
  }
  return s.size();
}

int count(godwit_metrics_collector* c, const char* name, double value, std::optional<gm::TimeNs> at,
          bool replace) {
  if (!c || !name) return GODWIT_METRICS_INVALID;
  return guarded([&] {
    c->collector.add_count(name, value, at, {}, replace);
    return GODWIT_METRICS_OK;
  });
}

int timer(godwit_metrics_collector* c, const char* name, std::int64_t ns, const char* unit_name,
          double per_second, std::optional<gm::TimeNs> at) {
  if (!c || !name) return GODWIT_METRICS_INVALID;
  return guarded([&] {
    c->collector.set_timer(name, std::chrono::nanoseconds(ns), unitOf(unit_name, per_second), at);
    return GODWIT_METRICS_OK;
  });
}

}  // namespace

extern "C" {

int godwit_metrics_abi(void) { return GODWIT_METRICS_ABI; }
const char* godwit_metrics_version(void) { return GODWIT_VERSION; }

godwit_metrics_client* godwit_metrics_open(const godwit_metrics_options* options) {
  return guardedPointer<godwit_metrics_client>(
      [&] { return new godwit_metrics_client{gm::Client(translate(options))}; });
}
void godwit_metrics_close(godwit_metrics_client* client) { delete client; }

int64_t godwit_metrics_now(godwit_metrics_client* client) {
  return client ? client->client.uniqueNow() : 0;
}

godwit_metrics_collector* godwit_metrics_collector_new(godwit_metrics_client* client) {
  if (!client) return nullptr;
  return guardedPointer<godwit_metrics_collector>(
      [&] { return new godwit_metrics_collector{client->client.metrics()}; });
}
void godwit_metrics_collector_free(godwit_metrics_collector* collector) { delete collector; }

int godwit_metrics_add_count(godwit_metrics_collector* collector, const char* name, double value) {
  return count(collector, name, value, std::nullopt, false);
}
int godwit_metrics_add_count_at(godwit_metrics_collector* collector, const char* name, double value,
                                int64_t time_ns, int replace_timestamp) {
  return count(collector, name, value, time_ns, replace_timestamp != 0);
}
int godwit_metrics_set_timer(godwit_metrics_collector* collector, const char* name,
                             int64_t nanoseconds, const char* unit_name, double per_second) {
  return timer(collector, name, nanoseconds, unit_name, per_second, std::nullopt);
}
int godwit_metrics_set_timer_at(godwit_metrics_collector* collector, const char* name,
                                int64_t nanoseconds, const char* unit_name, double per_second,
                                int64_t time_ns) {
  return timer(collector, name, nanoseconds, unit_name, per_second, time_ns);
}
int godwit_metrics_set_gauge(godwit_metrics_collector* collector, const char* name, double value) {
  if (!collector || !name) return GODWIT_METRICS_INVALID;
  return guarded([&] {
    collector->collector.set_gauge(name, value);
    return GODWIT_METRICS_OK;
  });
}
int godwit_metrics_set_dimension(godwit_metrics_collector* collector, const char* name,
                                 const char* value) {
  if (!collector || !name || !value) return GODWIT_METRICS_INVALID;
  return guarded([&] {
    collector->collector.set_dimension(name, value);
    return GODWIT_METRICS_OK;
  });
}
int godwit_metrics_send(godwit_metrics_client* client, godwit_metrics_collector* collector) {
  if (!collector) return GODWIT_METRICS_INVALID;
  const int result =
      client ? guarded([&] { return static_cast<int>(client->client.send(collector->collector)); })
             : GODWIT_METRICS_INVALID;
  delete collector;
  return result;
}

int godwit_metrics_send_encoded(godwit_metrics_client* client, const void* bytes, size_t size) {
  if (!client || !bytes) return GODWIT_METRICS_INVALID;
  return static_cast<int>(
      client->client.sendEncoded(std::string_view(static_cast<const char*>(bytes), size)));
}
int godwit_metrics_send_json(godwit_metrics_client* client, const char* text, size_t size) {
  if (!client || !text) return GODWIT_METRICS_INVALID;
  return guarded([&] {
    gm::Metrics m;
    if (!gm::parseWireJson(std::string_view(text, size), m).ok()) return +GODWIT_METRICS_INVALID;
    return static_cast<int>(client->client.send(std::move(m)));
  });
}
void godwit_metrics_refused(godwit_metrics_client* client, uint64_t samples) {
  if (client) client->client.countRefused(samples);
}

godwit_metrics_counter* godwit_metrics_counter_get(godwit_metrics_client* client, const char* name,
                                                   const char* const* dims) {
  if (!client || !name) return nullptr;
  return guardedPointer<godwit_metrics_counter>([&] {
    return reinterpret_cast<godwit_metrics_counter*>(
        &client->client.counter(name, dimensions(dims)));
  });
}
godwit_metrics_timer* godwit_metrics_timer_get(godwit_metrics_client* client, const char* name,
                                               const char* const* dims) {
  if (!client || !name) return nullptr;
  return guardedPointer<godwit_metrics_timer>([&] {
    return reinterpret_cast<godwit_metrics_timer*>(&client->client.timer(name, dimensions(dims)));
  });
}
godwit_metrics_gauge* godwit_metrics_gauge_get(godwit_metrics_client* client, const char* name,
                                               const char* const* dims) {
  if (!client || !name) return nullptr;
  return guardedPointer<godwit_metrics_gauge>([&] {
    return reinterpret_cast<godwit_metrics_gauge*>(&client->client.gauge(name, dimensions(dims)));
  });
}
void godwit_metrics_counter_inc(godwit_metrics_counter* counter, double by) {
  if (counter) reinterpret_cast<gm::Counter*>(counter)->inc(by);
}
void godwit_metrics_timer_record(godwit_metrics_timer* timer_handle, int64_t nanoseconds) {
  if (timer_handle) {
    reinterpret_cast<gm::Timer*>(timer_handle)->record(std::chrono::nanoseconds(nanoseconds));
  }
}
void godwit_metrics_gauge_set(godwit_metrics_gauge* gauge, double value) {
  if (gauge) reinterpret_cast<gm::Gauge*>(gauge)->set(value);
}

int godwit_metrics_flush(godwit_metrics_client* client) {
  return client && client->client.flush(godwit::Deadline::never()) ? 1 : 0;
}
int godwit_metrics_get_stats(godwit_metrics_client* client, godwit_metrics_stats* out) {
  if (!client || !out || out->size < sizeof out->size) return GODWIT_METRICS_INVALID;
  return guarded([&] {
    const gm::Stats s = client->client.stats();
    godwit_metrics_stats c{};
    c.size = std::min(out->size, sizeof c);
    c.frames = s.frames;
    c.samples = s.samples;
    c.bytes = s.bytes;
    c.dropped_full = s.dropped_full;
    c.dropped_oversize = s.dropped_oversize;
    c.dropped_nan = s.dropped_nan;
    c.dropped_unavailable = s.dropped_unavailable;
    c.buffered_frames = s.buffered_frames;
    c.spool_unavailable = s.spool_unavailable;
    c.lane_bytes = s.lane_bytes;
    c.ts_ahead_us = s.ts_ahead_us;
    c.handles = s.handles;
    std::memcpy(out, &c, c.size);
    return GODWIT_METRICS_OK;
  });
}
size_t godwit_metrics_lane(godwit_metrics_client* client, char* out, size_t size) {
  if (!client) return 0;
  try {
    return copyOut(client->client.stats().lane, out, size);
  } catch (const std::exception&) {
    return 0;
  }
}
size_t godwit_metrics_last_error(godwit_metrics_client* client, char* out, size_t size) {
  if (!client) return 0;
  try {
    return copyOut(client->client.stats().last_error, out, size);
  } catch (const std::exception&) {
    return 0;
  }
}

}  // extern "C"
