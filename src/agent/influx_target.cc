#include "agent/influx_target.h"

#include "base/encoding.h"

namespace godwit::agent {
namespace {

void addParameter(std::string& url, std::string_view name, const std::string& value) {
  if (value.empty()) return;
  url += url.find('?') == std::string::npos ? '?' : '&';
  url += name;
  url += '=';
  url += percentEncode(value);
}

bool contains(std::string_view text, std::string_view what) {
  return text.find(what) != std::string_view::npos;
}

std::string shortened(std::string_view body) {
  std::string out(body.substr(0, 500));
  while (!out.empty() && (out.back() == '\n' || out.back() == '\r')) out.pop_back();
  return out;
}

}  // namespace

Outcome influxOutcome(const HttpAnswer& a) {
  Outcome o;
  o.code = a.kind == HttpAnswer::Kind::kAnswered ? a.status : 0;
  o.retry_after_s = a.retry_after_s;
  switch (a.kind) {
    case HttpAnswer::Kind::kAborted:
      o.kind = Outcome::Kind::kAborted;
      return o;
    case HttpAnswer::Kind::kUnreachable:
      o.unreachable = true;
      [[fallthrough]];
    case HttpAnswer::Kind::kBroken:
      o.kind = Outcome::Kind::kRetry;
      o.message = a.error;
      return o;
    case HttpAnswer::Kind::kAnswered:
      break;
  }
  o.message = "HTTP " + std::to_string(a.status) + ": " + shortened(a.body);
  int s = a.status;
  if (s >= 200 && s < 300) {
    o.kind = Outcome::Kind::kOk;
  } else if (s == 400 || s == 422) {
    o.kind = Outcome::Kind::kRejected;
  } else if (s == 413) {
    o.kind = Outcome::Kind::kTooLarge;
  } else if (s == 401 || s == 403 || s == 404) {
    o.kind = Outcome::Kind::kForbidden;
  } else if (s == 500 &&
             (contains(a.body, "partial write") || contains(a.body, "field type conflict") ||
              contains(a.body, "beyond retention policy"))) {
    // Some versions answer 500 for what is the data's fault; retrying would never end.
    o.kind = Outcome::Kind::kRejected;
  } else {
    o.kind = Outcome::Kind::kRetry;
  }
  return o;
}

InfluxTarget::InfluxTarget(const Section& s, const TargetContext& context)
    : timeout_(s.duration("timeout")), gzip_(s.flag("gzip")), writer_(context.host) {
  std::string base = s.text("url");
  while (!base.empty() && base.back() == '/') base.pop_back();
  headers_.emplace_back("Content-Type: text/plain; charset=utf-8");
  if (s.text("type") == "influxdb2") {
    write_url_ = base + "/api/v2/write";
    addParameter(write_url_, "org", s.text("org"));
    addParameter(write_url_, "bucket", s.text("bucket"));
    addParameter(write_url_, "precision", "ns");
    if (!s.text("token").empty()) headers_.push_back("Authorization: Token " + s.text("token"));
    return;
  }
  write_url_ = base + "/write";
  addParameter(write_url_, "db", s.text("database"));
  addParameter(write_url_, "rp", s.text("retention_policy"));
  addParameter(write_url_, "consistency", s.text("consistency"));
  addParameter(write_url_, "precision", "ns");
  if (!s.text("username").empty()) {
    headers_.push_back("Authorization: Basic " +
                       base64Encode(s.text("username") + ":" + s.text("password")));
  }
  if (s.flag("create_database")) {
    std::string quoted = s.text("database");
    for (std::size_t at = 0; (at = quoted.find_first_of("\"\\", at)) != std::string::npos;
         at += 2) {
      quoted.insert(at, 1, '\\');
    }
    create_url_ = base + "/query";
    addParameter(create_url_, "q", "CREATE DATABASE \"" + quoted + "\"");
  }
}

void InfluxTarget::addMetrics(const metrics::Metrics& m, std::uint32_t index, const FrameRef& frame,
                              Batch& batch) {
  std::uint32_t i = index * 65536;  // aggregates hold many Metrics; each has few samples
  auto add = [&](const std::vector<metrics::Sample>& samples) {
    for (const auto& s : samples) {
      std::size_t offset = batch.body.size();
      std::size_t sum = 0;
      switch (auto r = writer_.append(batch.body, m.dims, s); r) {
        case LineResult::kOk:
          sum = batch.body.size() - offset;
          batch.units.push_back({static_cast<std::uint32_t>(offset),
                                 static_cast<std::uint32_t>(sum), 1, i, frame.lane, frame.seq});
          break;
        case LineResult::kNotFinite:
          ++batch.counts.dropped[static_cast<std::size_t>(Drop::kNan)];
          break;
        case LineResult::kEmptyName:
          ++batch.counts.dropped[static_cast<std::size_t>(Drop::kEmptyName)];
          break;
        case LineResult::kTooLong:
        case LineResult::kTypeConflict:
          // Put aside whole: a person decides, and a repaired one can be requeued.
          batch.rejects.push_back({frame.lane, frame.seq, i, 1, frame.type,
                                   std::string(lineResultName(r)) + " before sending: " + s.name,
                                   std::string(frame.payload)});
          break;
      }
      ++i;
    }
  };
  add(m.counters);
  add(m.timers);
  add(m.extra);
}

void InfluxTarget::addLine(std::string_view line, std::uint32_t index, const FrameRef& frame,
                           Batch& batch) {
  std::size_t offset = batch.body.size();
  batch.body += line;
  batch.body += '\n';
  batch.units.push_back({static_cast<std::uint32_t>(offset),
                         static_cast<std::uint32_t>(line.size() + 1), 1, index, frame.lane,
                         frame.seq});
}

void InfluxTarget::createDatabase() { http_.post(create_url_, headers_, "", timeout_); }

Outcome InfluxTarget::send(const Batch& batch, std::size_t first, std::size_t last) {
  std::size_t begin = batch.units[first].offset;
  std::size_t end = batch.units[last - 1].offset + batch.units[last - 1].size;
  std::string_view body = std::string_view(batch.body).substr(begin, end - begin);
  std::vector<std::string> headers = headers_;
  if (gzip_ && body.size() > 1024 && gzipCompress(body, packed_)) {
    headers.emplace_back("Content-Encoding: gzip");
    body = packed_;
  }
  Outcome o = influxOutcome(http_.post(write_url_, headers, body, timeout_));
  if (o.code == 404 && !create_url_.empty()) {
    createDatabase();
    o = influxOutcome(http_.post(write_url_, headers, body, timeout_));
  }
  return o;
}

}  // namespace godwit::agent
