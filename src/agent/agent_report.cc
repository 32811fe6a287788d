// What the outside sees of the agent: its HTTP endpoints and its own metrics.
#include "agent/agent.h"
#include "agent/http_client.h"
#include "metrics/metrics_binary.h"

namespace godwit::agent {

HttpReply Agent::handle(HttpRequest& request) {
  const std::string& path = request.path;
  if (path == "/write" || path == "/api/v2/write") return ingest_->lines(request);
  if (path == "/godwit/v1/metrics") return ingest_->json(request);
  HttpReply r;
  if (request.method != "GET" && request.method != "HEAD") {
    r.status = 405;
    r.headers.emplace_back("Allow: GET, HEAD");
    r.body = "only GET\n";
    return r;
  }
  if (path == "/healthz") {
    r.body = "ok\n";
  } else if (path == "/readyz") {
    bool ready = state_ == State::kRunning;
    r.status = ready ? 200 : 503;
    r.body = ready ? "ready\n" : "draining\n";
  } else if (path == "/ping") {
    r.status = 204;
    r.headers.emplace_back("X-Influxdb-Version: 1.8.0-godwit-agent");
  } else if (path == "/stats") {
    r.type = "application/json";
    r.body = reportJson(reportInput());
  } else if (path == "/metrics") {
    exposeMetrics(request, r);
  } else {
    r.status = 404;
    r.body = "not here\n";
  }
  return r;
}

// What Prometheus publishers hold, then the agent's own numbers.
void Agent::exposeMetrics(const HttpRequest& request, HttpReply& r) {
  bool open =
      request.header("accept").find("application/openmetrics-text") != std::string_view::npos;
  r.type = open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                : "text/plain; version=0.0.4; charset=utf-8";
  for (auto& [name, p] : publishers_) {
    if (p.type != "prometheus") continue;
    const Section& s = config_.publishers().at(name);
    p.publisher->expose(r.body, open, s.text("timers") == "histogram");
  }
  r.body += reportPrometheus(reportInput(), open);
  if (open) r.body += "# EOF\n";
  std::string packed;
  if (r.body.size() > 1024 &&
      request.header("accept-encoding").find("gzip") != std::string_view::npos &&
      gzipCompress(r.body, packed)) {
    r.body = std::move(packed);
    r.headers.emplace_back("Content-Encoding: gzip");
  }
}

ReportInput Agent::reportInput() {
  ReportInput in;
  in.state = state_ == State::kRunning ? "running" : "draining";
  in.agent_id = agent_id_;
  in.uptime_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  in.spool = spool_path_;
  in.log = log_->totals();
  for (std::size_t i = 0; i < in.received.size(); ++i) {
    in.received[i] = inlet_->received(static_cast<Source>(i));
  }
  for (std::size_t i = 0; i < 3; ++i) {
    in.writers[i] = inlet_->stats(static_cast<Inlet::LaneName>(i));
  }
  if (statsd_) in.statsd = statsd_->stats();
  in.aggregation = aggregation_->stats();
  if (redis_) in.redis = redis_->stats();
  if (streams_) in.streams = streams_->stats();
  if (resp_ && (resp_->connections() > 0 || resp_->stats().commands > 0)) in.resp = resp_->stats();
  if (ingest_) in.http = ingest_->stats();
  if (http_) in.http_connections = http_->connections();
  for (auto& [name, p] : publishers_) {
    in.publishers.push_back(p.publisher->stats());
    in.publishers.back().type = p.type;
  }
  in.foreign_cursors = log_->foreignConsumers();
  return in;
}

// Differences since the last time, one Metrics per label so that the label is a dimension.
void Agent::sendSelfMetrics() {
  std::map<std::string, double> now = reportCounters(reportInput());
  for (const auto& [key, value] : now) {
    double difference = value - self_last_[key];
    if (difference == 0) continue;
    std::size_t bar = key.find('|');
    std::size_t eq = key.find('=', bar);
    metrics::Metrics m;
    m.dims.emplace_back("agent", agent_id_);
    m.dims.emplace_back(key.substr(bar + 1, eq - bar - 1), key.substr(eq + 1));
    metrics::Sample s;
    s.name = key.substr(0, bar);
    s.value = difference;
    s.ts = inlet_->clock().uniqueUs() * 1000;
    m.counters.push_back(std::move(s));
    inlet_->append(Inlet::LaneName::kPoints, FrameType::kMetrics, 1, metrics::encodeMetrics(m, 0),
                   Source::kSelf);
  }
  self_last_ = std::move(now);
}

}  // namespace godwit::agent
