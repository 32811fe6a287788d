// fuzz-links: agent
// The first byte chooses a parser. Incremental ones must give the same however the input is cut.
#include <cstdlib>
#include <string>

#include "agent/aggregator.h"
#include "agent/config.h"
#include "agent/frame_types.h"
#include "agent/http_parser.h"
#include "agent/json_split.h"
#include "agent/line_protocol.h"
#include "agent/otlp_encoder.h"
#include "agent/resp_parser.h"
#include "agent/series_store.h"
#include "agent/streams_format.h"

using namespace godwit::agent;

namespace {
void check(bool ok) {
  if (!ok) std::abort();
}

std::string http(std::string_view text, std::size_t step) {
  HttpLimits limits;
  limits.body_bytes = 4096;
  limits.header_bytes = 1024;
  HttpParser p(limits);
  std::string out, pending;
  for (std::size_t at = 0; at < text.size(); at += step) {
    pending += text.substr(at, step);
    while (!pending.empty()) {
      std::size_t used = 0;
      auto s = p.feed(pending, used);
      check(used <= pending.size());
      pending.erase(0, used);
      if (s == HttpParser::State::kError) return out + "!" + std::to_string(p.errorStatus());
      if (s == HttpParser::State::kNeedMore) break;
      check(p.request().body.size() <= limits.body_bytes);
      out += p.request().method + p.request().target + "\n" + p.request().body + "\n";
      p.reset();
    }
  }
  return out;
}

void resp(std::string_view text) {
  RespParser p;
  std::vector<std::string_view> args;
  while (!text.empty()) {
    std::size_t used = 0;
    if (p.parse(text, used, args) != RespParser::State::kDone) return;
    check(used > 0 && used <= text.size());
    // One byte less must never be a whole command.
    std::size_t again = 0;
    std::vector<std::string_view> fewer;
    check(p.parse(text.substr(0, used - 1), again, fewer) != RespParser::State::kDone);
    text.remove_prefix(used);
  }
}

void lines(std::string_view text) {
  while (!text.empty()) {
    std::size_t n = text.find('\n');
    std::string_view line = text.substr(0, n);
    text.remove_prefix(n == std::string_view::npos ? text.size() : n + 1);
    auto parts = splitLine(line);
    if (!parts) continue;
    check(!parts->series.empty() && !parts->fields.empty());
    LinePoint point;
    check(parseLinePoint(*parts, point));
    // Normalised, it is still a line.
    std::string again = std::string(parts->series) + " " + std::string(parts->fields) + " 1";
    check(splitLine(again).has_value());
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 7) {
    case 0:
      if (text.size() < 2000) check(http(text, 1) == http(text, text.size() + 1));
      break;
    case 1:
      resp(text);
      break;
    case 2:
      lines(text);
      break;
    case 3: {
      std::vector<std::string_view> out;
      if (splitJsonObjects(text, 1000, out)) {
        for (auto o : out) check(o.front() == '{' && o.size() >= 2);
      }
      break;
    }
    case 4: {
      Config c;
      if (c.readText(text, "f")) (void)c.finish();
      break;
    }
    case 5: {
      StreamFrame f;
      for (std::string_view rest = text; nextStreamFrame(rest, f);) {
      }
      AggregateHeader h;
      std::string_view one;
      if (getAggregateHeader(text, h)) {
        for (std::string_view rest = text.substr(kAggregateHeaderSize); nextAggregate(rest, one);) {
        }
      }
      Requeued r;
      (void)decodeRequeued(text, r);
      std::string message;
      (void)otlpRejected(text, message);
      break;
    }
    default: {
      Aggregator a(AggregatorOptions{});
      (void)a.restore(text);
      SeriesStore s(SeriesLimits{});
      (void)s.restore(text);
    }
  }
  return 0;
}
