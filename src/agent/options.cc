#include "agent/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include "base/text.h"
#include "base/units.h"

namespace godwit::agent {
namespace {

using enum OptionType;
using Row = OptionDef;

constexpr std::array kSections = {
    std::pair<std::string_view, std::string_view>{"agent", "The process itself"},
    std::pair<std::string_view, std::string_view>{"spool",
                                                  "The durable log every metric goes through"},
    std::pair<std::string_view, std::string_view>{"statsd", "StatsD and DogStatsD sockets"},
    std::pair<std::string_view, std::string_view>{
        "http", "Line protocol and JSON in, health and metrics out"},
    std::pair<std::string_view, std::string_view>{
        "resp", "A Redis look-alike for Kadabra clients without Redis"},
    std::pair<std::string_view, std::string_view>{"redis",
                                                  "The lists that Kadabra clients send to"},
    std::pair<std::string_view, std::string_view>{"streams", "Redis Streams: agents of a fleet"},
    std::pair<std::string_view, std::string_view>{"publisher",
                                                  "Where metrics go; one section each"},
};

constexpr std::array kOptions = {
    Row{"agent", "id", kText, "",
        "Name of this agent among those sharing a Redis; empty: host name."},
    Row{"agent", "add_host", kFlag, "on", "Add the dimension `host` to what does not have one."},
    Row{"agent", "host", kText, "", "Value of that dimension; empty: the machine's host name."},
    Row{"agent", "self_metrics", kDuration, "10s",
        "How often the agent's own counters go through the pipeline as `godwit.*`; 0: never."},
    Row{"agent", "drain_deadline", kDuration, "8s",
        "After SIGTERM, publish what is in the spool for at most this long."},
    Row{"agent", "flush_partial_on_exit", kFlag, "off",
        "Publish unfinished StatsD windows at exit instead of finishing them after the restart."},
    Row{"agent", "log_level", kChoice, "info", "Least important lines that are logged.",
        "debug|info|warn|error"},
    Row{"agent", "log_format", kChoice, "auto", "How log lines look.", "auto|text|color|json"},

    Row{"spool", "path", kText, "",
        "Directory of the spool; empty: $GODWIT_SPOOL, else /var/lib/godwit/spool, else under "
        "$XDG_STATE_HOME."},
    Row{"spool", "segment_size", kSize, "4MiB", "Size of the segments of the agent's own lanes."},
    Row{"spool", "max_bytes", kSize, "1GiB", "Disk space for all lanes together."},
    Row{"spool", "max_lane_bytes", kSize, "256MiB", "Disk space for one lane."},
    Row{"spool", "min_free", kNumber, "5",
        "Percentage of the file system that stays free, whatever max_bytes says."},
    Row{"spool", "policy", kChoice, "drop_oldest", "What goes when the spool is full.",
        "drop_oldest|drop_newest"},
    Row{"spool", "sync", kDuration, "1s",
        "How often dirty lanes are flushed to the disk, against power loss; 0: never."},
    Row{"spool", "dead_max_bytes", kSize, "64MiB", "Bound of each publisher's dead letters."},

    Row{"statsd", "udp", kText, "127.0.0.1:8125", "Address for datagrams; empty: none."},
    Row{"statsd", "udp6", kText, "", "IPv6 address for datagrams, as in [::1]:8125; empty: none."},
    Row{"statsd", "unix_dgram", kText, "", "Path of a datagram socket; empty: none."},
    Row{"statsd", "unix_stream", kText, "",
        "Path of a stream socket, packets prefixed by a 32-bit little-endian length; empty: none."},
    Row{"statsd", "tcp", kText, "", "Address for newline-separated lines; empty: none."},
    Row{"statsd", "flush_interval", kDuration, "10s", "Length of an aggregation window."},
    Row{"statsd", "receive_buffer", kSize, "8MiB", "Socket buffer asked of the kernel."},
    Row{"statsd", "gauge_delta", kFlag, "on", "A signed gauge value changes the gauge."},
    Row{"statsd", "etsy_compat", kFlag, "off", "A line without a value counts one."},
    Row{"statsd", "prefix", kText, "", "Put before every name."},
    Row{"statsd", "preset", kChoice, "none", "Turn parts of known names into tags.", "none|kinto"},
    Row{"statsd", "origin", kFlag, "off",
        "Add the sender's container as tag container_id (unix sockets)."},
    Row{"statsd", "max_series", kInt, "100000",
        "Series in one window; more share overflow series."},
    Row{"statsd", "max_series_per_name", kInt, "10000", "The same for one name."},
    Row{"statsd", "gauge_ttl", kDuration, "24h", "A gauge silent for this long is forgotten."},

    Row{"http", "listen", kText, "127.0.0.1:8135", "Address; empty: none."},
    Row{"http", "unix", kText, "", "Path of a stream socket; empty: none."},
    Row{"http", "max_body", kSize, "32MiB", "Largest request body, also after decompression."},
    Row{"http", "max_connections", kInt, "256", "Connections at a time; more are closed at once."},
    Row{"http", "idle_timeout", kDuration, "60s", "A connection silent for this long is closed."},
    Row{"http",
        "token",
        kText,
        "",
        "Needed to write, as `Authorization: Token …`; empty: none.",
        {},
        true},

    Row{"resp", "listen", kText, "", "Address, such as 127.0.0.1:6379; empty: none."},
    Row{"resp", "unix", kText, "", "Path of a stream socket; empty: none."},
    Row{"resp", "queue_key", kText, "kadabra_queue", "The list whose LPUSH is a metric."},
    Row{"resp",
        "password",
        kText,
        "",
        "Needed by AUTH before anything else; empty: none.",
        {},
        true},
    Row{"resp", "max_connections", kInt, "1024", "Connections at a time; more are closed at once."},

    Row{"redis", "enabled", kFlag, "off", "Receive from the lists."},
    Row{"redis", "host", kText, "localhost", "Host name, or the path of a unix socket."},
    Row{"redis", "port", kInt, "6379", "TCP port."},
    Row{"redis", "db", kInt, "0", "Database number."},
    Row{"redis", "username", kText, "", "User for AUTH; empty: the default user."},
    Row{"redis", "password", kText, "", "Password for AUTH; empty: none.", {}, true},
    Row{"redis", "queue_key", kText, "kadabra_queue", "The list that clients LPUSH to."},
    Row{"redis", "inprogress_key", kText, "kadabra_inprogress",
        "The list old agents keep unacknowledged messages in; ours is KEY:<id>."},
    Row{"redis", "batch", kInt, "512", "Messages taken in one round trip."},
    Row{"redis", "nanny_frequency", kDuration, "10s", "How often abandoned lists are looked for."},
    Row{"redis", "nanny_threshold", kDuration, "60s",
        "A message seen twice this far apart in the old in-progress list is taken over; 0: never."},
    Row{"redis", "nanny_limit", kInt, "5000", "Entries of the old in-progress list looked at."},

    Row{"streams", "enabled", kFlag, "off", "Receive from the stream."},
    Row{"streams", "host", kText, "localhost", "Host name, or the path of a unix socket."},
    Row{"streams", "port", kInt, "6379", "TCP port."},
    Row{"streams", "db", kInt, "0", "Database number."},
    Row{"streams", "username", kText, "", "User for AUTH; empty: the default user."},
    Row{"streams", "password", kText, "", "Password for AUTH; empty: none.", {}, true},
    Row{"streams", "stream", kText, "godwit:s", "Key of the stream."},
    Row{"streams", "group", kText, "agents", "Consumer group."},
    Row{"streams", "claim_after", kDuration, "30s",
        "Take over what a dead consumer held this long."},
    Row{"streams", "max_deliveries", kInt, "5",
        "An entry delivered more often goes to `godwit:dead` unread."},

    Row{"publisher", "type", kChoice, "debug", "What kind of target.",
        "debug|influxdb|influxdb2|statsd|prometheus|otlp|redis_stream|redis_list"},
    Row{"publisher", "enabled", kFlag, "on", "Off: keeps its place in the log, sends nothing."},
    Row{"publisher", "required", kFlag, "on",
        "Off: never holds the log back; what it misses is counted as dropped."},
    Row{"publisher", "url", kText, "", "influxdb, influxdb2, otlp: base URL."},
    Row{"publisher", "database", kText, "kadabra", "influxdb: database."},
    Row{"publisher", "retention_policy", kText, "", "influxdb: retention policy; empty: default."},
    Row{"publisher", "consistency", kText, "", "influxdb: write consistency; empty: default."},
    Row{"publisher", "create_database", kFlag, "off",
        "influxdb: create the database when missing."},
    Row{"publisher", "username", kText, "", "influxdb, redis_*: user."},
    Row{"publisher", "password", kText, "", "influxdb, redis_*: password.", {}, true},
    Row{"publisher", "org", kText, "", "influxdb2: organisation."},
    Row{"publisher", "bucket", kText, "", "influxdb2: bucket."},
    Row{"publisher", "token", kText, "", "influxdb2, otlp: token.", {}, true},
    Row{"publisher",
        "headers",
        kText,
        "",
        "otlp: extra headers, `Name: value; Name: value`.",
        {},
        true},
    Row{"publisher", "timeout", kDuration, "10s", "One request, from connect to answer."},
    Row{"publisher", "batch", kInt, "5000", "Lines in one request."},
    Row{"publisher", "batch_bytes", kSize, "1MiB", "Bytes in one request, before compression."},
    Row{"publisher", "linger", kDuration, "500ms", "Wait this long for a batch to fill."},
    Row{"publisher", "gzip", kFlag, "on", "Compress requests over 1 KiB."},
    Row{"publisher", "retry_max", kDuration, "30s", "Longest pause between attempts."},
    Row{"publisher", "output", kText, "stderr", "debug: stderr, stdout, log, or a file's path."},
    Row{"publisher", "file_max", kSize, "64MiB",
        "debug: a file of this size becomes FILE.1, in place of the one before; 0: never."},
    Row{"publisher", "rate_limit", kInt, "0", "debug: lines per second; more are counted; 0: all."},
    Row{"publisher", "address", kText, "127.0.0.1:8125",
        "statsd: host:port, or the path of a datagram socket."},
    Row{"publisher", "packet", kSize, "1432", "statsd: bytes in a datagram."},
    Row{"publisher", "dogstatsd", kChoice, "off", "statsd: tags (on), and timestamps too (1.3).",
        "off|on|1.3"},
    Row{"publisher", "at_most_once", kFlag, "on",
        "statsd: after a crash rather lose a batch than count it twice."},
    Row{"publisher", "interval", kDuration, "10s", "otlp: how often changed series are sent."},
    Row{"publisher", "temporality", kChoice, "cumulative", "otlp: what sums mean.",
        "cumulative|delta"},
    Row{"publisher", "service_name", kText, "godwit", "otlp: service.name of the resource."},
    Row{"publisher", "encoding", kChoice, "protobuf", "otlp: body format.", "protobuf|json"},
    Row{"publisher", "max_series", kInt, "100000", "prometheus, otlp: series kept."},
    Row{"publisher", "max_series_per_name", kInt, "10000", "prometheus, otlp: series of one name."},
    Row{"publisher", "series_ttl", kDuration, "1h",
        "prometheus, otlp: silent series are forgotten."},
    Row{"publisher", "timers", kChoice, "summary", "prometheus: how timers are shown.",
        "summary|histogram"},
    Row{"publisher", "host", kText, "localhost", "redis_*: host name, or path of a unix socket."},
    Row{"publisher", "port", kInt, "6379", "redis_*: TCP port."},
    Row{"publisher", "db", kInt, "0", "redis_*: database number."},
    Row{"publisher", "stream", kText, "godwit:s", "redis_stream: key of the stream."},
    Row{"publisher", "max_length", kInt, "1000000", "redis_stream: entries kept, about."},
    Row{"publisher", "queue_key", kText, "kadabra_queue", "redis_list: key of the list."},
};

bool isChoice(std::string_view choices, std::string_view text) {
  while (!choices.empty()) {
    std::size_t n = choices.find('|');
    if (choices.substr(0, n) == text) return true;
    choices.remove_prefix(n == std::string_view::npos ? choices.size() : n + 1);
  }
  return false;
}

// Longer and larger ones are typing errors, and sums with them might not fit.
constexpr auto kLongest = std::chrono::seconds(1'000'000'000);
constexpr std::uint64_t kLargest = 1'000'000'000'000'000;

}  // namespace

std::span<const OptionDef> optionTable() { return kOptions; }

std::span<const std::pair<std::string_view, std::string_view>> sectionTable() { return kSections; }

const OptionDef* findOption(std::string_view section, std::string_view key) {
  for (const OptionDef& o : kOptions) {
    if (o.section == section && o.key == key) return &o;
  }
  return nullptr;
}

std::optional<bool> parseFlag(std::string_view text) {
  std::string t = lower(trim(text));
  if (t == "on" || t == "true" || t == "yes" || t == "1") return true;
  if (t == "off" || t == "false" || t == "no" || t == "0") return false;
  return std::nullopt;
}

std::optional<std::int64_t> parseInt(std::string_view text) {
  text = trim(text);
  std::int64_t n = 0;
  auto r = std::from_chars(text.data(), text.data() + text.size(), n);
  if (text.empty() || r.ec != std::errc() || r.ptr != text.data() + text.size())
    return std::nullopt;
  return n;
}

std::optional<double> parseNumber(std::string_view text) {
  text = trim(text);
  double n = 0;
  auto r = std::from_chars(text.data(), text.data() + text.size(), n);
  if (text.empty() || r.ec != std::errc() || r.ptr != text.data() + text.size())
    return std::nullopt;
  return std::isfinite(n) ? std::optional(n) : std::nullopt;
}

std::optional<std::string> checkValue(const OptionDef& o, std::string_view text) {
  switch (o.type) {
    case kText:
      if (text.find('\n') != std::string_view::npos) return "must be one line";
      return std::nullopt;
    case kFlag:
      if (!parseFlag(text)) return "must be on or off";
      return std::nullopt;
    case kInt: {
      auto n = parseInt(text);
      if (!n || *n < 0) return "must be a whole number, zero or more";
      if ((o.key == "port") && *n > 65535) return "must be a port, up to 65535";
      bool positive = o.key == "batch" || o.key.starts_with("max_");
      if (positive && *n == 0) return "must be at least 1";
      return std::nullopt;
    }
    case kNumber: {
      auto n = parseNumber(text);
      if (!n || *n < 0 || *n > 100) return "must be a number from 0 to 100";
      return std::nullopt;
    }
    case kDuration: {
      auto d = parseNanoseconds(text);
      if (!d || *d > kLongest) return "must be a duration such as 500ms, 10s, 2m";
      bool positive = o.key == "flush_interval" || o.key == "timeout" || o.key == "interval" ||
                      o.key == "nanny_frequency" || o.key == "retry_max";
      if (positive && d->count() <= 0) return "must be longer than zero";
      return std::nullopt;
    }
    case kSize: {
      auto n = parseSize(text);
      if (!n || *n > kLargest) return "must be a size such as 64KiB, 8MiB, 1GiB";
      return std::nullopt;
    }
    case kChoice:
      if (!isChoice(o.choices, text)) {
        std::string list(o.choices);
        for (std::size_t at = 0; (at = list.find('|', at)) != std::string::npos; at += 2) {
          list.replace(at, 1, ", ");
        }
        return "must be one of " + list;
      }
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates) {
  std::size_t best = std::max<std::size_t>(2, word.size() / 3) + 1;
  const std::string* found = nullptr;
  std::vector<std::size_t> row;
  for (const std::string& c : candidates) {
    row.resize(c.size() + 1);
    for (std::size_t j = 0; j <= c.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j <= c.size(); ++j) {
        std::size_t change = diagonal + (word[i - 1] == c[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({change, row[j] + 1, row[j - 1] + 1});
      }
    }
    if (row[c.size()] < best) {
      best = row[c.size()];
      found = &c;
    }
  }
  if (!found) return std::nullopt;
  return *found;
}

}  // namespace godwit::agent
