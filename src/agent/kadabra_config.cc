#include "agent/kadabra_config.h"

#include <array>
#include <vector>

#include "agent/config.h"
#include "agent/json_value.h"

namespace godwit::agent {
namespace {

// The publisher that AGENT_PUBLISHER_TYPE stands for.
const std::string kPublisher = "kadabra";

struct Known {
  std::string_view key;
  std::string_view note;  // why the value no longer matters; empty: it does
};

constexpr std::array kKnown = {
    Known{"AGENT_TYPE", "one kind of agent serves both loads"},
    Known{"AGENT_LOGGER_NAME", "log lines always carry the program's name"},
    Known{"AGENT_CHANNEL_TYPE", ""},
    Known{"AGENT_CHANNEL_ARGS", ""},
    Known{"AGENT_PUBLISHER_TYPE", ""},
    Known{"AGENT_PUBLISHER_ARGS", ""},
    Known{"AGENT_RECEIVER_THREADS", "one connection takes messages in batches"},
    Known{"BATCHED_AGENT_INTERVAL_SECONDS", "messages are taken as they arrive"},
    Known{"BATCHED_AGENT_MAX_BATCH_SIZE", "batches are bounded by redis.batch and publisher.batch"},
    Known{"BATCHED_AGENT_NANNY_MAX_BATCH_SIZE", "bounded by redis.nanny_limit"},
    Known{"AGENT_NANNY_FREQUENCY_SECONDS", ""},
    Known{"AGENT_NANNY_THRESHOLD_SECONDS", ""},
    Known{"AGENT_NANNY_QUERY_LIMIT", ""},
    Known{"AGENT_NANNY_THREADS", "what is taken over goes through the spool like the rest"},
    Known{"CLIENT_DEFAULT_DIMENSIONS", "a setting of the client"},
    Known{"CLIENT_TIMESTAMP_FORMAT", "every message names its own format"},
    Known{"CLIENT_CHANNEL_TYPE", "a setting of the client"},
    Known{"CLIENT_CHANNEL_ARGS", "a setting of the client"},
};

Result<JsonValue> dictionary(const std::string& value, std::string_view key,
                             const std::string& origin) {
  auto parsed = parseJsonValue(value.empty() ? "null" : value);
  if (!parsed) {
    return Error(ErrorCode::kInvalid,
                 origin + ": " + std::string(key) + ": " + parsed.error().message);
  }
  if (!parsed->isNull() && !parsed->object()) {
    return Error(ErrorCode::kInvalid, origin + ": " + std::string(key) + " must be a dictionary");
  }
  return parsed;
}

Error unknownArgument(std::string_view key, const std::string& name, const std::string& origin,
                      const std::vector<std::string>& known) {
  auto near = nearest(name, known);
  return {ErrorCode::kInvalid, origin + ": " + std::string(key) + " has no argument '" + name +
                                   "'" + (near ? " (did you mean '" + *near + "'?)" : "")};
}

Result<> channelArgs(const std::string& value, std::string_view key, const std::string& origin,
                     Config& config) {
  auto args = dictionary(value, key, origin);
  if (!args) return args.error();
  if (args->isNull()) return {};
  static const std::vector<std::string> kNames = {"host",     "port",      "db",
                                                  "password", "queue_key", "inprogress_key"};
  for (const auto& [name, v] : *args->object()) {
    bool known = false;
    for (const std::string& n : kNames) known = known || n == name;
    if (name == "client_name" || name == "logger" || name == "logger_name") {
      config.notes.push_back(origin + ": channel argument " + name + " has no meaning here");
      continue;
    }
    if (!known) return unknownArgument(key, name, origin, kNames);
    if (v.isNull()) continue;
    GODWIT_TRY(config.set("redis", "", name, v.text(), origin));
  }
  return {};
}

Result<> publisherArgs(const std::string& value, std::string_view key, const std::string& origin,
                       Config& config) {
  auto args = dictionary(value, key, origin);
  if (!args) return args.error();
  std::string host = "localhost";
  std::string port = "8086";
  std::string scheme = "http";
  bool target = false;
  static const std::vector<std::string> kNames = {"host",     "port",    "database", "username",
                                                  "password", "timeout", "ssl",      "verify_ssl"};
  if (args->isNull()) return {};
  for (const auto& [name, v] : *args->object()) {
    if (v.isNull()) continue;
    if (name == "host") {
      host = v.text();
      target = true;
    } else if (name == "port") {
      port = v.text();
      target = true;
    } else if (name == "ssl") {
      if (v.text() == "on") scheme = "https";
      target = true;
    } else if (name == "database" || name == "username" || name == "password" ||
               name == "timeout") {
      GODWIT_TRY(config.set("publisher", kPublisher, name, v.text(), origin));
    } else if (name == "logger_name" || name == "logger" || name == "verify_ssl" ||
               name == "retries") {
      config.notes.push_back(origin + ": publisher argument " + name + " has no meaning here");
    } else {
      return unknownArgument(key, name, origin, kNames);
    }
  }
  if (target) {
    bool v6 = host.find(':') != std::string::npos && host[0] != '[';
    std::string url = scheme + "://" + (v6 ? "[" + host + "]" : host) + ":" + port;
    return config.set("publisher", kPublisher, "url", url, origin);
  }
  return {};
}

}  // namespace

bool isKadabraKey(std::string_view key) {
  return key.starts_with("AGENT_") || key.starts_with("CLIENT_") || key.starts_with("BATCHED_");
}

Result<> applyKadabraSetting(std::string_view key, const std::string& value,
                             const std::string& origin, Config& config) {
  const Known* known = nullptr;
  std::vector<std::string> names;
  for (const Known& k : kKnown) {
    names.emplace_back(k.key);
    if (k.key == key) known = &k;
  }
  if (!known) {
    auto near = nearest(key, names);
    return {ErrorCode::kInvalid, origin + ": unknown key '" + std::string(key) + "'" +
                                     (near ? " (did you mean '" + *near + "'?)" : "")};
  }
  // A drop-in replacement publishes what was sent and nothing else.
  if (!config.section("agent").isSet("add_host")) {
    GODWIT_TRY(config.set("agent", "", "add_host", "off", origin));
  }
  if (!config.section("agent").isSet("self_metrics")) {
    GODWIT_TRY(config.set("agent", "", "self_metrics", "0", origin));
  }
  if (!config.section("redis").isSet("enabled")) {
    GODWIT_TRY(config.set("redis", "", "enabled", "on", origin));
  }
  if (!config.publishers().contains(kPublisher)) {
    GODWIT_TRY(config.set("publisher", kPublisher, "type", "debug", origin));
  }
  if (!known->note.empty()) {
    config.notes.push_back(origin + ": " + std::string(key) +
                           " has no effect: " + std::string(known->note));
    return {};
  }
  if (key == "AGENT_CHANNEL_TYPE") {
    if (value == "redis") return {};
    return {ErrorCode::kInvalid, origin + ": AGENT_CHANNEL_TYPE must be redis"};
  }
  if (key == "AGENT_CHANNEL_ARGS") return channelArgs(value, key, origin, config);
  if (key == "AGENT_PUBLISHER_ARGS") return publisherArgs(value, key, origin, config);
  if (key == "AGENT_PUBLISHER_TYPE") {
    if (value == "debug") return {};
    if (value != "influxdb") {
      return {ErrorCode::kInvalid, origin + ": AGENT_PUBLISHER_TYPE must be debug or influxdb"};
    }
    GODWIT_TRY(config.set("publisher", kPublisher, "type", "influxdb", origin));
    if (!config.publishers().at(kPublisher).isSet("url")) {
      return config.set("publisher", kPublisher, "url", "http://localhost:8086", origin);
    }
    return {};
  }
  if (key == "AGENT_NANNY_FREQUENCY_SECONDS") {
    return config.set("redis", "", "nanny_frequency", value, origin);
  }
  if (key == "AGENT_NANNY_THRESHOLD_SECONDS") {
    return config.set("redis", "", "nanny_threshold", value, origin);
  }
  return config.set("redis", "", "nanny_limit", value, origin);
}

Result<> readKadabraJson(std::string_view text, const std::string& where, Config& config) {
  auto parsed = parseJsonValue(text);
  if (!parsed) return Error(ErrorCode::kInvalid, where + ": " + parsed.error().message);
  if (!parsed->object()) return {ErrorCode::kInvalid, where + ": must be one object"};
  for (const auto& [key, v] : *parsed->object()) {
    std::string value = v.text();
    if (const auto* members = v.object()) {
      // Back to text, so that both notations go one way. Only scalars can be arguments.
      value = "{";
      for (const auto& [name, member] : *members) {
        if (member.object()) {
          return {ErrorCode::kInvalid, where + ": " + key + "." + name + " must be a scalar"};
        }
        value += value.size() > 1 ? ", " : "";
        value += "\"" + name + "\": ";
        bool number = std::holds_alternative<double>(member.v);
        if (member.isNull()) {
          value += "null";
        } else if (number) {
          value += member.text();
        } else if (const bool* b = std::get_if<bool>(&member.v)) {
          value += *b ? "true" : "false";
        } else {
          value += '"';
          for (char c : member.text()) {
            if (c == '"' || c == '\\') value += '\\';
            value += c;
          }
          value += '"';
        }
      }
      value += "}";
    }
    GODWIT_TRY(applyKadabraSetting(key, value, where, config));
  }
  return {};
}

}  // namespace godwit::agent
