#include "agent/statsd_target.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <charconv>
#include <cmath>
#include <cstring>

#include "agent/line_protocol.h"
#include "base/os_error.h"
#include "metrics/sketch.h"

namespace godwit::agent {
namespace {

using metrics::Kind;

void appendClean(std::string& out, std::string_view text, std::string_view forbidden) {
  for (char c : text) out += forbidden.find(c) != std::string_view::npos ? '_' : c;
}

void appendNumber(std::string& out, double v) {
  char buf[32];
  auto r = std::to_chars(buf, buf + sizeof buf, v);
  out.append(buf, r.ptr);
}

}  // namespace

StatsdTarget::StatsdTarget(const Section& s, const TargetContext& context)
    : address_(s.text("address")),
      packet_(static_cast<std::size_t>(s.size("packet"))),
      tags_(s.text("dogstatsd") != "off"),
      times_(s.text("dogstatsd") == "1.3"),
      at_most_once_(s.flag("at_most_once")),
      host_(context.host) {}

void StatsdTarget::addSample(const metrics::Dims& dims, const metrics::Sample& s,
                             std::uint32_t index, const FrameRef& frame, Batch& batch) {
  std::size_t offset = batch.body.size();
  std::string& out = batch.body;
  auto drop = [&](Drop why) {
    out.resize(offset);
    ++batch.counts.dropped[static_cast<std::size_t>(why)];
  };
  if (s.name.empty()) return drop(Drop::kEmptyName);
  if (!std::isfinite(s.value)) return drop(Drop::kNan);
  std::string name;
  appendClean(name, s.name, ":|@\n\r#,");
  std::string suffix;
  if (tags_) {
    bool host = host_.empty();
    for (const auto& [k, v] : dims) {
      host = host || k == "host";
      suffix += suffix.empty() ? "|#" : ",";
      appendClean(suffix, k, ":|\n\r,");
      if (!v.empty()) suffix += ':';
      appendClean(suffix, v, "|\n\r,");
    }
    if (!host) suffix += (suffix.empty() ? "|#host:" : ",host:") + host_;
  } else {
    // Without tags the dimensions are part of the name, in their order.
    for (const auto& [k, v] : dims) {
      name += '.';
      appendClean(name, v, ":|@\n\r#,. ");
    }
  }
  if (times_) suffix += "|T" + std::to_string(s.ts / 1'000'000'000);
  auto line = [&](std::string_view prefix, double v, std::string_view type) {
    if (out.size() > offset) out += '\n';
    out += name;
    out += ':';
    out += prefix;
    appendNumber(out, v);
    out += '|';
    out += type;
    out += suffix;
  };
  double ms = s.unit.per_second > 0 ? 1000.0 / s.unit.per_second : 1;
  switch (s.kind) {
    case Kind::Counter:
      line("", s.value, "c");
      break;
    case Kind::Timer:
      line("", s.value * ms, "ms");
      break;
    case Kind::Gauge:
      // A negative gauge is a delta on this wire: set to zero first.
      if (s.value < 0) line("", 0, "g");
      line("", s.value, "g");
      break;
    case Kind::GaugeDelta:
      line(s.value < 0 ? "" : "+", s.value, "g");
      break;
    case Kind::Set:
      out += name;
      out += ':';
      appendClean(out, s.data, "|\n\r");
      out += "|s";
      out += suffix;
      break;
    case Kind::Histogram:
      line("", s.value, "h");
      break;
    case Kind::Distribution:
      line("", s.value, "d");
      break;
    case Kind::Sketch: {
      auto sketch = metrics::Sketch::parse(s.data);
      if (!sketch) return drop(Drop::kUnsupported);
      // Each bin becomes one value with the weight of the bin as a sample rate.
      double f = s.unit.name.empty() ? 1 : ms;
      auto bins = [&](const std::vector<metrics::Sketch::Bin>& list, double sign) {
        for (const auto& b : list) {
          double v = sign * metrics::Sketch::binValue(b.index) * f;
          line("", v,
               b.count > 1 ? "d|@" +
                                 [&] {
                                   std::string rate;
                                   appendNumber(rate, 1 / b.count);
                                   return rate;
                                 }()
                           : std::string("d"));
        }
      };
      bins(sketch->negativeBins(), -1);
      if (sketch->zeroCount() > 0) line("", 0, "d");
      bins(sketch->positiveBins(), 1);
      break;
    }
    case Kind::Event:
    case Kind::ServiceCheck:
      return drop(Drop::kUnsupported);
  }
  if (out.size() == offset) return drop(Drop::kUnsupported);
  if (out.size() - offset > packet_ && s.kind != Kind::Sketch) return drop(Drop::kOversize);
  batch.units.push_back({static_cast<std::uint32_t>(offset),
                         static_cast<std::uint32_t>(out.size() - offset), 1, index, frame.lane,
                         frame.seq});
}

void StatsdTarget::addMetrics(const metrics::Metrics& m, std::uint32_t index, const FrameRef& frame,
                              Batch& batch) {
  std::uint32_t i = index * 65536;
  for (const auto& s : m.counters) addSample(m.dims, s, i++, frame, batch);
  for (const auto& s : m.timers) addSample(m.dims, s, i++, frame, batch);
  for (const auto& s : m.extra) addSample(m.dims, s, i++, frame, batch);
}

// Fields of a line become gauges "measurement.field".
void StatsdTarget::addLine(std::string_view line, std::uint32_t index, const FrameRef& frame,
                           Batch& batch) {
  auto parts = splitLine(line);
  LinePoint point;
  if (!parts || !parseLinePoint(*parts, point)) {
    ++batch.counts.dropped[static_cast<std::size_t>(Drop::kUnsupported)];
    return;
  }
  std::size_t before = batch.units.size();
  for (const auto& [field, value] : point.fields) {
    metrics::Sample s;
    s.kind = Kind::Gauge;
    s.name = point.measurement + "." + field;
    s.ts = point.timestamp;
    if (const auto* i = std::get_if<std::int64_t>(&value)) {
      s.value = static_cast<double>(*i);
    } else if (const auto* d = std::get_if<double>(&value)) {
      s.value = *d;
    } else {
      continue;
    }
    Counts saved = batch.counts;
    addSample(point.tags, s, index, frame, batch);
    batch.counts = saved;  // the line counts, not its fields
  }
  if (batch.units.size() == before) {
    ++batch.counts.dropped[static_cast<std::size_t>(Drop::kUnsupported)];
  } else {
    for (std::size_t i = before + 1; i < batch.units.size(); ++i) batch.units[i].samples = 0;
  }
}

bool StatsdTarget::connect(std::string& why) {
  if (socket_) return true;
  if (address_.find('/') != std::string::npos) {
    sockaddr_un addr{};
    addr.sun_family = AF_UNIX;
    if (address_.size() >= sizeof addr.sun_path) {
      why = "path too long";
      return false;
    }
    std::memcpy(addr.sun_path, address_.data(), address_.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd || ::connect(fd.get(), reinterpret_cast<sockaddr*>(&addr), sizeof addr) != 0) {
      why = errnoText(errno);
      return false;
    }
    socket_ = std::move(fd);
  } else {
    std::size_t colon = address_.rfind(':');
    std::string host = address_.substr(0, colon);
    std::string port = colon == std::string::npos ? "8125" : address_.substr(colon + 1);
    if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
    addrinfo hints{};
    hints.ai_socktype = SOCK_DGRAM;
    addrinfo* list = nullptr;
    if (int r = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list); r != 0) {
      why = ::gai_strerror(r);
      return false;
    }
    for (addrinfo* a = list; a && !socket_; a = a->ai_next) {
      UniqueFd fd(::socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      if (fd && ::connect(fd.get(), a->ai_addr, a->ai_addrlen) == 0) socket_ = std::move(fd);
    }
    ::freeaddrinfo(list);
    if (!socket_) {
      why = errnoText(errno);
      return false;
    }
  }
  timeval timeout{2, 0};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  return true;
}

Outcome StatsdTarget::send(const Batch& batch, std::size_t first, std::size_t last) {
  Outcome o;
  o.kind = Outcome::Kind::kRetry;
  if (!connect(o.message)) {
    o.unreachable = true;
    return o;
  }
  std::string packet;
  if (resume_batch_ == &batch && resume_from_ > first && resume_from_ < last) first = resume_from_;
  std::size_t in_packet = first;  // first unit of the packet being filled
  auto flush = [&] {
    if (packet.empty()) return true;
    ssize_t n = ::send(socket_.get(), packet.data(), packet.size(), MSG_NOSIGNAL);
    // UDP to a port nobody listens on: the error belongs to an earlier datagram. Try once more.
    if (n < 0 && errno == ECONNREFUSED && address_.find('/') == std::string::npos) {
      n = ::send(socket_.get(), packet.data(), packet.size(), MSG_NOSIGNAL);
    }
    if (n < 0) {
      o.message = errnoText(errno);
      socket_.reset();
      resume_batch_ = &batch;
      resume_from_ = in_packet;
      return false;
    }
    packet.clear();
    return true;
  };
  for (std::size_t i = first; i < last; ++i) {
    std::string_view unit =
        std::string_view(batch.body).substr(batch.units[i].offset, batch.units[i].size);
    while (!unit.empty()) {  // a sketch has many lines
      std::size_t n = unit.find('\n');
      std::string_view line = unit.substr(0, n);
      unit.remove_prefix(n == std::string_view::npos ? unit.size() : n + 1);
      if (!packet.empty() && packet.size() + 1 + line.size() > packet_) {
        if (!flush()) return o;
        in_packet = i;
      }
      if (!packet.empty()) packet += '\n';
      packet += line;
    }
  }
  if (!flush()) return o;
  o.kind = Outcome::Kind::kOk;
  return o;
}

}  // namespace godwit::agent
