#include "agent/ingest.h"

#include <charconv>
#include <limits>
#include <vector>

#include "agent/http_client.h"
#include "agent/json_split.h"
#include "agent/line_protocol.h"
#include "base/encoding.h"
#include "base/log.h"
#include "metrics/wire_json.h"

namespace godwit::agent {
namespace {

constexpr std::size_t kFrameBytes = 256 * 1024;
constexpr std::size_t kFrameLineCount = 10'000;
constexpr std::size_t kMaxObjects = 100'000;

HttpReply problem(int status, std::string_view text) {
  HttpReply r;
  r.status = status;
  r.type = "application/json";
  r.body = "{\"error\":";
  log::appendJsonString(r.body, text);
  r.body += "}\n";
  return r;
}

}  // namespace

bool Ingest::allowed(const HttpRequest& request) const {
  if (token_.empty()) return true;
  std::string_view given = request.header("authorization");
  for (std::string_view scheme : {"Token ", "Bearer "}) {
    if (given.starts_with(scheme)) {
      return constantTimeEqual(given.substr(scheme.size()), token_);
    }
  }
  // InfluxDB 1.x clients: Basic, or ?p=
  if (given.starts_with("Basic ")) {
    auto pair = base64Decode(given.substr(6));
    std::size_t colon = pair ? pair->find(':') : std::string::npos;
    return colon != std::string::npos && constantTimeEqual(pair->substr(colon + 1), token_);
  }
  return constantTimeEqual(request.param("p"), token_);
}

// Method, token, compression.
bool Ingest::prepare(HttpRequest& request, HttpReply& reply) {
  if (request.method != "POST") {
    reply = problem(405, "only POST");
    reply.headers.emplace_back("Allow: POST");
    return false;
  }
  if (!allowed(request)) {
    reply = problem(401, "unauthorized");
    return false;
  }
  std::string_view coding = request.header("content-encoding");
  if (coding == "gzip") {
    std::string plain;
    if (!gzipDecompress(request.body, max_body_, plain)) {
      reply = problem(400, "cannot decompress the body, or it is larger than http.max_body");
      return false;
    }
    request.body = std::move(plain);
  } else if (!coding.empty() && coding != "identity") {
    reply = problem(415, "unknown content coding");
    return false;
  }
  return true;
}

HttpReply Ingest::lines(HttpRequest& request) {
  HttpReply reply;
  if (!prepare(request, reply)) return reply;
  std::int64_t factor = precisionNs(request.param("precision"));
  if (factor == 0) return problem(400, "unknown precision");
  std::string frame;
  std::uint16_t count = 0;
  std::uint64_t bad = 0;
  std::string first_bad;
  std::vector<std::pair<std::string, std::uint16_t>> frames;
  std::string_view rest = request.body;
  while (!rest.empty()) {
    // A newline inside a quoted field belongs to it: the line goes on if it cannot be split here.
    std::size_t n = rest.find('\n');
    std::string_view line = rest.substr(0, n);
    auto parts = line.empty() ? std::nullopt : splitLine(line);
    std::size_t probe = n;
    for (int i = 0; !parts && i < 64 && probe != std::string_view::npos &&
                    line.find('"') != std::string_view::npos && line[0] != '#';
         ++i) {
      probe = rest.find('\n', probe + 1);
      std::string_view longer = rest.substr(0, probe);
      parts = splitLine(longer);
      if (parts) {
        n = probe;
        line = longer;
      }
    }
    rest.remove_prefix(n == std::string_view::npos ? rest.size() : n + 1);
    if (line.empty() || line == "\r" || line[0] == '#') continue;
    std::int64_t ts = 0;
    bool sound = parts.has_value();
    if (sound && parts->timestamp.empty()) {
      // Fixed now: whatever is sent again later lands on the same point.
      ts = inlet_.clock().uniqueUs() * 1000;
    } else if (sound) {
      std::string_view t = parts->timestamp;
      if (t.front() == '+') t.remove_prefix(1);
      std::from_chars(t.data(), t.data() + t.size(), ts);
      constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
      sound = ts < kMax / factor && ts > -(kMax / factor);
      ts *= sound ? factor : 1;
    }
    // A quoted newline cannot travel in a frame of lines.
    if (sound && line.find('\n') != std::string_view::npos) sound = false;
    if (!sound) {
      if (bad++ == 0) first_bad = line.substr(0, 200);
      continue;
    }
    frame += parts->series;
    frame += ' ';
    frame += parts->fields;
    frame += ' ';
    frame += std::to_string(ts);
    frame += '\n';
    ++count;
    if (frame.size() >= kFrameBytes || count >= kFrameLineCount) {
      frames.emplace_back(std::move(frame), count);
      frame.clear();
      count = 0;
    }
  }
  if (count > 0) frames.emplace_back(std::move(frame), count);
  for (const auto& [payload, lines] : frames) {
    if (!inlet_.append(Inlet::LaneName::kPoints, kFrameLines, lines, payload, Source::kHttpLines)) {
      return problem(503, "the spool cannot take more; send again");
    }
    stats_.lines += lines;
  }
  stats_.bad_lines += bad;
  if (bad > 0) {
    return problem(
        400, "partial write: unable to parse '" + first_bad + "' dropped=" + std::to_string(bad));
  }
  reply.status = 204;
  return reply;
}

HttpReply Ingest::json(HttpRequest& request) {
  HttpReply reply;
  if (!prepare(request, reply)) return reply;
  std::vector<std::string_view> objects;
  if (!splitJsonObjects(request.body, kMaxObjects, objects)) {
    ++stats_.bad_messages;
    return problem(400, "the body must be a JSON object, an array of them, or one per line");
  }
  // All or nothing: a client that gets an error may send everything again.
  std::vector<std::uint16_t> counts;
  metrics::Metrics m;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (objects[i].size() > metrics::spool::kMaxPayload) return problem(413, "message over 1 MiB");
    if (auto r = metrics::parseWireJson(objects[i], m); !r) {
      ++stats_.bad_messages;
      return problem(400, "message " + std::to_string(i) + ": " + r.error().message);
    }
    if (m.sampleCount() > 65535) return problem(413, "more than 65535 samples in a message");
    counts.push_back(static_cast<std::uint16_t>(m.sampleCount()));
  }
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (!inlet_.append(Inlet::LaneName::kPoints, FrameType::kKadabraJson, counts[i], objects[i],
                       Source::kHttpJson)) {
      return problem(503, "the spool cannot take more; " + std::to_string(i) + " messages of " +
                              std::to_string(objects.size()) + " were taken");
    }
    ++stats_.messages;
  }
  reply.status = 202;
  reply.type = "application/json";
  reply.body = "{\"accepted\":" + std::to_string(objects.size()) + "}\n";
  return reply;
}

}  // namespace godwit::agent
