#include "agent/report.h"

#include <charconv>
#include <cmath>

#include "base/log.h"

namespace godwit::agent {
namespace {

// Builds JSON by hand: objects nest, commas come by themselves.
class Json {
 public:
  Json& open(std::string_view key = {}) {
    name(key);
    out_ += '{';
    first_ = true;
    return *this;
  }
  Json& close() {
    out_ += '}';
    first_ = false;
    return *this;
  }
  Json& put(std::string_view key, std::string_view v) {
    name(key);
    log::appendJsonString(out_, v);
    return *this;
  }
  Json& put(std::string_view key, const char* v) { return put(key, std::string_view(v)); }
  Json& put(std::string_view key, const std::string& v) { return put(key, std::string_view(v)); }
  Json& put(std::string_view key, bool v) {
    name(key);
    out_ += v ? "true" : "false";
    return *this;
  }
  Json& put(std::string_view key, double v) {
    name(key);
    char buf[32];
    auto r = std::to_chars(buf, buf + sizeof buf, std::isfinite(v) ? v : 0);
    out_.append(buf, r.ptr);
    return *this;
  }
  template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) Json& put(std::string_view key, T v) {
    name(key);
    out_ += std::to_string(v);
    return *this;
  }
  std::string take() { return std::move(out_); }

 private:
  void name(std::string_view key) {
    if (!first_) out_ += ',';
    first_ = false;
    if (key.empty()) return;
    log::appendJsonString(out_, key);
    out_ += ':';
  }
  std::string out_;
  bool first_ = true;
};

constexpr std::string_view kDropReason[] = {
    "", "spool_full", "oversize", "nan", "unavailable", "closed", "", ""};

std::string_view writerName(std::size_t i) {
  return i == 0 ? "points" : i == 1 ? "statsd" : "aggregates";
}

// Modulo 2^64, so that an imbalance in either direction is visible as a small number.
std::int64_t balance(const ReportInput& in, const PublisherStats& p) {
  return static_cast<std::int64_t>(in.log.points_samples - p.counts.skipped - p.counts.consumed() -
                                   p.spooled_samples);
}

}  // namespace

std::string reportJson(const ReportInput& in) {
  Json j;
  j.open();
  j.put("state", in.state).put("agent", in.agent_id).put("uptime_seconds", in.uptime_s);
  j.open("spool").put("path", in.spool);
  j.put("points_frames", in.log.points_frames).put("points_samples", in.log.points_samples);
  j.put("statsd_frames", in.log.statsd_frames).put("statsd_lines", in.log.statsd_samples);
  j.put("bytes", in.log.bytes_on_disk);
  j.put("lanes_live", in.log.live_lanes).put("lanes_dead", in.log.dead_lanes);
  j.put("lanes_removed", in.log.removed_lanes);
  j.put("segments_recycled", in.log.recycled_segments);
  j.put("segments_removed", in.log.removed_segments);
  j.put("sync_seconds", static_cast<double>(in.log.sync_ns) / 1e9);
  j.open("dropped_by_producers");
  for (std::size_t i = 0; i < spool::kDropReasons; ++i) {
    if (kDropReason[i].empty()) continue;
    j.put(kDropReason[i], in.log.client_drops.samples[i]);
  }
  j.close().close();
  j.open("received");
  for (std::size_t i = 1; i < in.received.size(); ++i) {
    const auto& r = in.received[i];
    if (r.frames == 0 && r.refused == 0) continue;
    j.open(sourceName(static_cast<Source>(i)));
    j.put("frames", r.frames).put("samples", r.samples).put("refused", r.refused).close();
  }
  j.close();
  j.open("lanes");
  for (std::size_t i = 0; i < in.writers.size(); ++i) {
    const auto& w = in.writers[i];
    j.open(writerName(i)).put("frames", w.frames).put("samples", w.samples);
    j.put("buffered", w.buffered_frames).put("unavailable", w.spool_unavailable);
    j.put("fresh", w.segments_fresh).put("recycled", w.segments_recycled);
    j.put("ts_ahead_us", w.ts_ahead_us).put("last_error", w.last_error).close();
  }
  j.close();
  if (in.statsd) {
    j.open("statsd").put("packets", in.statsd->packets).put("lines", in.statsd->lines);
    j.put("kernel_drops", in.statsd->kernel_drops).put("truncated", in.statsd->truncated);
    j.put("refused", in.statsd->refused).put("receive_buffer", in.statsd->receive_buffer).close();
  }
  const auto& a = in.aggregation;
  j.open("aggregation").put("lines", a.counts.lines).put("good", a.counts.good);
  j.open("bad");
  std::uint64_t bad = 0;
  for (std::size_t i = 1; i < a.counts.bad.size(); ++i) {
    bad += a.counts.bad[i];
    if (a.counts.bad[i]) j.put(statsdBadName(static_cast<StatsdBad>(i)), a.counts.bad[i]);
  }
  j.close();
  j.put("lost", a.lines_lost).put("spooled", a.spooled_lines).put("points", a.counts.points);
  j.put("balance", static_cast<std::int64_t>(in.log.statsd_samples - a.counts.good - bad -
                                             a.lines_lost - a.spooled_lines));
  j.put("overflowed", a.counts.overflowed).put("tags_cut", a.counts.tags_cut);
  j.put("events_dropped", a.counts.events_dropped);
  j.put("open_series", a.open_series).put("cached_series", a.cached_series);
  j.put("windows", a.windows).put("checkpoints", a.checkpoints);
  j.put("checkpoint_bytes", a.checkpoint_bytes).put("skipped_after_crash", a.skipped_after_crash);
  j.open("offenders");
  for (const auto& [name, n] : a.offenders) j.put(name, n);
  j.close().close();
  if (in.redis) {
    const auto& r = *in.redis;
    j.open("redis").put("up", r.up).put("last_error", r.last_error).put("messages", r.messages);
    j.put("malformed", r.malformed).put("recovered", r.recovered);
    j.put("duplicates", r.duplicates).put("reclaimed", r.reclaimed);
    j.put("legacy_taken", r.legacy_taken).put("lost_suspected", r.lost_suspected);
    j.put("restarts_seen", r.restarts_seen).put("reconnects", r.reconnects).close();
  }
  if (in.streams) {
    const auto& r = *in.streams;
    j.open("streams").put("up", r.up).put("last_error", r.last_error).put("entries", r.entries);
    j.put("frames", r.frames).put("duplicates", r.duplicates).put("malformed", r.malformed);
    j.put("claimed", r.claimed).put("gone", r.gone).put("dead", r.dead).close();
  }
  if (in.resp) {
    j.open("resp").put("messages", in.resp->messages).put("malformed", in.resp->malformed);
    j.put("refused", in.resp->refused).put("commands", in.resp->commands);
    j.put("connections", in.resp->connections).close();
  }
  if (in.http) {
    j.open("http").put("lines", in.http->lines).put("bad_lines", in.http->bad_lines);
    j.put("messages", in.http->messages).put("bad_messages", in.http->bad_messages);
    j.put("connections", in.http_connections).close();
  }
  j.open("publishers");
  for (const auto& p : in.publishers) {
    j.open(p.name).put("type", p.type).put("required", p.required).put("up", p.up);
    j.put("breaker", p.breaker).put("last_error", p.last_error);
    j.put("received", in.log.points_samples - p.counts.skipped);
    j.put("published", p.counts.published).put("dead", p.counts.dead);
    j.open("dropped");
    for (std::size_t i = 0; i < kDrops; ++i) {
      if (p.counts.dropped[i]) j.put(dropName(static_cast<Drop>(i)), p.counts.dropped[i]);
    }
    j.close();
    j.put("spooled", p.spooled_samples).put("balance", balance(in, p));
    j.put("spooled_frames", p.spooled_frames);
    j.open("requests");
    for (const auto& [code, n] : p.requests) j.put(std::to_string(code), n);
    j.close();
    j.put("retried", p.retried).put("split", p.split).put("batches", p.batches);
    j.open("quarantined");
    for (const auto& [why, n] : p.quarantined) j.put(why, n);
    j.close();
    j.put("dead_letters", p.dead_letters).put("dead_bytes", p.dead_bytes);
    j.put("dead_expired", p.dead_expired).put("corrupt_bytes", p.corrupt_bytes);
    j.put("series", p.series).put("series_overflow", p.series_overflow);
    j.put("publish_seconds_sum", p.publish_seconds_sum);
    j.put("publish_seconds_max", p.publish_seconds_max).close();
  }
  j.close();
  j.open("unowned_cursors");
  for (const auto& c : in.foreign_cursors) j.put(c, "godwit-agent cursor rm " + c);
  j.close();
  j.close();
  return j.take() + "\n";
}

namespace {

class Prometheus {
 public:
  explicit Prometheus(bool open_metrics) : open_(open_metrics) {}

  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = "godwit_agent_" + std::string(name);
    // OpenMetrics names a counter's family without the suffix its samples have.
    std::string shown = name_;
    if (open_ && type == "counter") {
      if (shown.ends_with("_total")) {
        shown.resize(shown.size() - 6);
      } else {
        type = "gauge";
      }
    }
    out_ += "# HELP " + shown + " " + std::string(help) + "\n# TYPE " + shown + " " +
            std::string(type) + "\n";
  }
  template <class T>
  void value(T v, std::string_view label = {}, std::string_view text = {},
             std::string_view label2 = {}, std::string_view text2 = {}) {
    out_ += name_;
    if (!label.empty()) {
      out_ += '{';
      put(label, text);
      if (!label2.empty()) {
        out_ += ',';
        put(label2, text2);
      }
      out_ += '}';
    }
    out_ += ' ';
    char buf[32];
    auto r = std::to_chars(buf, buf + sizeof buf, v);
    out_.append(buf, r.ptr);
    out_ += '\n';
  }
  std::string take() { return std::move(out_); }

 private:
  void put(std::string_view label, std::string_view text) {
    out_ += label;
    out_ += "=\"";
    for (char c : text) {
      if (c == '\\' || c == '"') out_ += '\\';
      if (c == '\n') {
        out_ += "\\n";
      } else {
        out_ += c;
      }
    }
    out_ += '"';
  }
  bool open_;
  std::string out_;
  std::string name_;
};

}  // namespace

std::string reportPrometheus(const ReportInput& in, bool open_metrics) {
  Prometheus p(open_metrics);
  p.family("uptime_seconds", "gauge", "Since this process began.");
  p.value(in.uptime_s);
  p.family("log_samples_total", "counter", "Samples in the log, by what reads them.");
  p.value(in.log.points_samples, "lane", "points");
  p.value(in.log.statsd_samples, "lane", "statsd");
  p.family("spool_bytes", "gauge", "Disk space of all segments.");
  p.value(in.log.bytes_on_disk);
  p.family("lanes", "gauge", "Lanes in the spool.");
  p.value(in.log.live_lanes, "state", "live");
  p.value(in.log.dead_lanes, "state", "dead");
  p.family("producer_dropped_total", "counter", "Samples that producers could not spool.");
  for (std::size_t i = 0; i < spool::kDropReasons; ++i) {
    if (!kDropReason[i].empty()) {
      p.value(in.log.client_drops.samples[i], "reason", kDropReason[i]);
    }
  }
  p.family("fsync_seconds", "gauge", "Duration of the last flush of dirty lanes.");
  p.value(static_cast<double>(in.log.sync_ns) / 1e9);
  p.family("received_total", "counter", "Samples received, by receiver.");
  for (std::size_t i = 1; i < in.received.size(); ++i) {
    p.value(in.received[i].samples, "receiver", sourceName(static_cast<Source>(i)));
  }
  p.family("refused_total", "counter", "Frames that the spool could not take, by receiver.");
  for (std::size_t i = 1; i < in.received.size(); ++i) {
    p.value(in.received[i].refused, "receiver", sourceName(static_cast<Source>(i)));
  }
  if (in.statsd) {
    p.family("statsd_kernel_drops_total", "counter", "Datagrams the kernel dropped.");
    p.value(in.statsd->kernel_drops);
    p.family("statsd_truncated_total", "counter", "Packets longer than 64 KiB.");
    p.value(in.statsd->truncated);
  }
  const auto& a = in.aggregation;
  p.family("statsd_bad_lines_total", "counter", "Lines that could not be understood.");
  for (std::size_t i = 1; i < a.counts.bad.size(); ++i) {
    p.value(a.counts.bad[i], "reason", statsdBadName(static_cast<StatsdBad>(i)));
  }
  p.family("statsd_lines_total", "counter", "Lines aggregated.");
  p.value(a.counts.good);
  p.family("series", "gauge", "Series of the open window.");
  p.value(a.open_series);
  p.family("series_overflow_total", "counter", "Lines that went into overflow series.");
  p.value(a.counts.overflowed);
  if (in.redis) {
    p.family("redis_up", "gauge", "Connected to Redis.");
    p.value(in.redis->up ? 1 : 0);
    p.family("redis_lost_suspected_total", "counter",
             "Messages that a restarted Redis no longer had.");
    p.value(in.redis->lost_suspected);
    p.family("redis_reclaimed_total", "counter", "Messages of dead agents taken back.");
    p.value(in.redis->reclaimed);
    p.family("redis_duplicates_total", "counter", "Messages found twice after a crash.");
    p.value(in.redis->duplicates);
  }
  auto each = [&](std::string_view name, std::string_view type, std::string_view help, auto get) {
    if (in.publishers.empty()) return;
    p.family(name, type, help);
    for (const auto& s : in.publishers) p.value(get(s), "publisher", s.name);
  };
  each("publisher_up", "gauge", "The last request was understood.",
       [](const PublisherStats& s) { return s.up ? 1 : 0; });
  each("published_total", "counter", "Samples the target has.",
       [](const PublisherStats& s) { return s.counts.published; });
  each("dead_total", "counter", "Samples put into quarantine.",
       [](const PublisherStats& s) { return s.counts.dead; });
  each("spooled_samples", "gauge", "Samples in the log, not decided yet.",
       [](const PublisherStats& s) { return s.spooled_samples; });
  each("cursor_lag_frames", "gauge", "Frames between the cursor and the end of the log.",
       [](const PublisherStats& s) { return s.spooled_frames; });
  each("retried_total", "counter", "Requests sent again.",
       [](const PublisherStats& s) { return s.retried; });
  each("split_total", "counter", "Batches halved to find a bad line.",
       [](const PublisherStats& s) { return s.split; });
  each("dead_letters", "gauge", "Letters in quarantine.",
       [](const PublisherStats& s) { return s.dead_letters; });
  each("publish_seconds_sum", "counter", "Time spent in requests.",
       [](const PublisherStats& s) { return s.publish_seconds_sum; });
  each("publish_seconds_count", "counter", "Requests.",
       [](const PublisherStats& s) { return s.publish_seconds_count; });
  p.family("dropped_total", "counter", "Samples decided not to be published, by reason.");
  for (const auto& s : in.publishers) {
    for (std::size_t i = 0; i < kDrops; ++i) {
      p.value(s.counts.dropped[i], "publisher", s.name, "reason", dropName(static_cast<Drop>(i)));
    }
  }
  p.family("publish_requests_total", "counter", "Requests by answer; 0 is none.");
  for (const auto& s : in.publishers) {
    for (const auto& [code, n] : s.requests) {
      p.value(n, "publisher", s.name, "code", std::to_string(code));
    }
  }
  p.family("balance_samples", "gauge", "received - published - dead - dropped - spooled.");
  for (const auto& s : in.publishers) p.value(balance(in, s), "publisher", s.name);
  return p.take();
}

std::map<std::string, double> reportCounters(const ReportInput& in) {
  std::map<std::string, double> out;
  auto put = [&](std::string name, std::string_view label, std::string_view text, std::uint64_t v) {
    out[std::move(name) + "|" + std::string(label) + "=" + std::string(text)] =
        static_cast<double>(v);
  };
  for (std::size_t i = 2; i < in.received.size(); ++i) {
    if (in.received[i].samples > 0) {
      put("godwit.received", "receiver", sourceName(static_cast<Source>(i)),
          in.received[i].samples);
    }
  }
  for (const auto& p : in.publishers) {
    put("godwit.published", "publisher", p.name, p.counts.published);
    put("godwit.dead", "publisher", p.name, p.counts.dead);
    put("godwit.dropped", "publisher", p.name, p.counts.droppedTotal());
    put("godwit.retried", "publisher", p.name, p.retried);
  }
  std::uint64_t bad = 0;
  for (auto b : in.aggregation.counts.bad) bad += b;
  if (bad > 0) put("godwit.statsd_bad_lines", "lane", "statsd", bad);
  if (in.statsd && in.statsd->kernel_drops > 0) {
    put("godwit.statsd_kernel_drops", "lane", "statsd", in.statsd->kernel_drops);
  }
  for (std::size_t i = 0; i < spool::kDropReasons; ++i) {
    if (in.log.client_drops.samples[i] > 0) {
      put("godwit.producer_dropped", "reason", kDropReason[i], in.log.client_drops.samples[i]);
    }
  }
  return out;
}

}  // namespace godwit::agent
