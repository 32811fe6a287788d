#include "agent/debug_target.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <charconv>

#include "base/clock.h"
#include "base/log.h"
#include "base/os_error.h"
#include "metrics/sketch.h"
#include "metrics/wire_json.h"

namespace godwit::agent {
namespace {

std::string_view kindName(metrics::Kind k) {
  using metrics::Kind;
  switch (k) {
    case Kind::Counter:
      return "counter";
    case Kind::Timer:
      return "timer";
    case Kind::Gauge:
      return "gauge";
    case Kind::GaugeDelta:
      return "gauge_delta";
    case Kind::Set:
      return "set";
    case Kind::Histogram:
      return "histogram";
    case Kind::Distribution:
      return "distribution";
    case Kind::Event:
      return "event";
    case Kind::ServiceCheck:
      return "service_check";
    case Kind::Sketch:
      return "sketch";
  }
  return "unknown";
}

// Kinds the wire has no place for.
void appendExtra(std::string& out, const metrics::Metrics& m) {
  out += R"({"dimensions": {)";
  for (const auto& [k, v] : m.dims) {
    if (&k != &m.dims.front().first) out += ", ";
    metrics::appendPythonString(out, k);
    out += ": ";
    metrics::appendPythonString(out, v);
  }
  out += R"(}, "samples": [)";
  for (const auto& s : m.extra) {
    if (&s != &m.extra.front()) out += ", ";
    out += R"({"name": )";
    metrics::appendPythonString(out, s.name);
    out += R"(, "kind": ")";
    out += kindName(s.kind);
    out += R"(", "timestamp_ns": )" + std::to_string(s.ts) + R"(, "value": )";
    metrics::appendPythonFloat(out, s.value);
    if (s.kind == metrics::Kind::Sketch) {
      if (auto sketch = metrics::Sketch::parse(s.data)) {
        for (auto [name, v] : {std::pair<const char*, double>{"count", sketch->count()},
                               {"min", sketch->min()},
                               {"max", sketch->max()},
                               {"p50", sketch->quantile(0.5)},
                               {"p99", sketch->quantile(0.99)}}) {
          out += std::string(", \"") + name + "\": ";
          metrics::appendPythonFloat(out, v);
        }
      }
    } else if (!s.data.empty()) {
      out += R"(, "data": )";
      metrics::appendPythonString(out, s.data);
    }
    out += '}';
  }
  out += "]}";
}

}  // namespace

DebugTarget::DebugTarget(const Section& s)
    : output_(s.text("output")),
      file_max_(s.size("file_max")),
      rate_limit_(static_cast<std::uint64_t>(s.integer("rate_limit"))) {}

void DebugTarget::addUnit(std::size_t offset, std::uint32_t samples, std::uint32_t index,
                          const FrameRef& frame, Batch& batch) {
  batch.units.push_back({static_cast<std::uint32_t>(offset),
                         static_cast<std::uint32_t>(batch.body.size() - offset), samples, index,
                         frame.lane, frame.seq});
}

void DebugTarget::addMetrics(const metrics::Metrics& m, std::uint32_t index, const FrameRef& frame,
                             Batch& batch) {
  std::size_t offset = batch.body.size();
  auto wire = static_cast<std::uint32_t>(m.counters.size() + m.timers.size());
  if (frame.type == FrameType::kKadabraJson && wire > 0) {
    batch.body += frame.payload;  // the bytes as they came
    batch.body += '\n';
    addUnit(offset, wire, index, frame, batch);
  } else if (wire > 0) {
    std::int64_t at = m.counters.empty() ? m.timers.front().ts : m.counters.front().ts;
    metrics::appendWireJson(batch.body, m, at);
    batch.body += '\n';
    addUnit(offset, wire, index, frame, batch);
  }
  if (!m.extra.empty()) {
    offset = batch.body.size();
    appendExtra(batch.body, m);
    batch.body += '\n';
    addUnit(offset, static_cast<std::uint32_t>(m.extra.size()), index, frame, batch);
  }
}

void DebugTarget::addLine(std::string_view line, std::uint32_t index, const FrameRef& frame,
                          Batch& batch) {
  std::size_t offset = batch.body.size();
  batch.body += line;
  batch.body += '\n';
  addUnit(offset, 1, index, frame, batch);
}

Outcome DebugTarget::send(const Batch& batch, std::size_t first, std::size_t last) {
  Outcome o;
  o.kind = Outcome::Kind::kOk;
  std::size_t begin = batch.units[first].offset;
  std::size_t end = batch.units[last - 1].offset + batch.units[last - 1].size;
  std::string_view body = std::string_view(batch.body).substr(begin, end - begin);
  std::string limited;
  if (rate_limit_ > 0 || output_ == "log") {
    for (std::size_t i = first; i < last; ++i) {
      std::int64_t now = Clock::system().nowNs() / 1'000'000'000;
      if (now != second_) {
        if (suppressed_ > 0) log::info("debug.suppressed", {{"lines", suppressed_}});
        second_ = now;
        this_second_ = suppressed_ = 0;
      }
      if (rate_limit_ > 0 && ++this_second_ > rate_limit_) {
        ++suppressed_;
        continue;
      }
      const Unit& u = batch.units[i];
      std::string_view line = std::string_view(batch.body).substr(u.offset, u.size - 1);
      if (output_ == "log") {
        log::info("metrics", {{"metrics", line}});
      } else {
        limited += line;
        limited += '\n';
      }
    }
    body = limited;
  }
  if (output_ == "log" || body.empty()) return o;
  int fd = output_ == "stdout" ? 1 : 2;
  if (output_ != "stdout" && output_ != "stderr") {
    if (!file_) {
      file_.reset(::open(output_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
    }
    if (!file_) {
      o.kind = Outcome::Kind::kRetry;
      o.message = osError("open " + output_).detail;
      return o;
    }
    fd = file_.get();
    struct stat st {};
    // Somebody else may have moved it already: only the file of that name is renamed.
    if (file_max_ > 0 && ::fstat(fd, &st) == 0 &&
        static_cast<std::uint64_t>(st.st_size) >= file_max_) {
      ::rename(output_.c_str(), (output_ + ".1").c_str());
      file_.reset(::open(output_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
      if (!file_) {
        o.kind = Outcome::Kind::kRetry;
        o.message = osError("open " + output_).detail;
        return o;
      }
      fd = file_.get();
    }
  }
  while (!body.empty()) {
    ssize_t n = ::write(fd, body.data(), body.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      pollfd p{fd, POLLOUT, 0};
      ::poll(&p, 1, 1000);
      continue;
    }
    if (n < 0) {
      o.kind = Outcome::Kind::kRetry;  // a full disk: lines may come twice, none is lost
      o.message = osError("write " + output_).detail;
      file_.reset();
      return o;
    }
    body.remove_prefix(static_cast<std::size_t>(n));
  }
  return o;
}

}  // namespace godwit::agent
