#include "agent/cumulative_options.h"

namespace godwit::agent {

CumulativeOptions cumulativeOptions(const Section& s, const TargetContext& context) {
  CumulativeOptions o;
  o.name = s.name();
  o.required = s.flag("required");
  o.host = context.host;
  o.limits.series = static_cast<std::size_t>(s.integer("max_series"));
  o.limits.per_name = static_cast<std::size_t>(s.integer("max_series_per_name"));
  o.limits.ttl_ns = s.duration("series_ttl").count();
  if (s.text("type") != "otlp") return o;
  o.limits.track_unsent = true;
  std::string base = s.text("url");
  while (!base.empty() && base.back() == '/') base.pop_back();
  o.to.url = base.ends_with("/v1/metrics") ? base : base + "/v1/metrics";
  o.to.json = s.text("encoding") == "json";
  o.to.headers.emplace_back(o.to.json ? "Content-Type: application/json"
                                      : "Content-Type: application/x-protobuf");
  if (!s.text("token").empty()) o.to.headers.push_back("Authorization: Bearer " + s.text("token"));
  std::string_view extra;
  std::string headers = s.text("headers");
  for (extra = headers; !extra.empty();) {
    std::size_t n = extra.find(';');
    std::string_view h = extra.substr(0, n);
    extra.remove_prefix(n == std::string_view::npos ? extra.size() : n + 1);
    while (!h.empty() && h.front() == ' ') h.remove_prefix(1);
    if (h.find(':') != std::string_view::npos) o.to.headers.emplace_back(h);
  }
  o.to.gzip = s.flag("gzip");
  o.batch = static_cast<std::size_t>(s.integer("batch"));
  o.to.timeout = s.duration("timeout");
  o.interval = s.duration("interval");
  o.retry_max = s.duration("retry_max");
  o.otlp.service_name = s.text("service_name");
  o.otlp.host_name = context.host;
  o.otlp.instance_id = context.agent_id;
  o.otlp.delta = s.text("temporality") == "delta";
  o.limits.keep_deltas = o.otlp.delta;
  o.host.clear();  // it is an attribute of the resource
  return o;
}

}  // namespace godwit::agent
