#include "kinto/plugins/listeners.h"

#include <algorithm>

#include "base/log.h"
#include "base/options.h"
#include "base/random.h"
#include "kinto/courier.h"
#include "kinto/plugins/carriers.h"
#include "kinto/render.h"
#include "kinto/text.h"

namespace godwit::kinto {
namespace {

// What stopping waits for receivers at most, so that one that is away does not hold up a reload.
constexpr std::chrono::seconds kDrain{5};
constexpr std::size_t kMaxWebhookBytes = 1 << 20;

enum class Kind : std::uint8_t { kUnknown, kRedis, kWebhook };

// By the names that Kinto, its predecessor and its Redis package gave them, and by the short ones.
Kind kindOf(std::string_view use) {
  if (use == "kinto_redis" || use == "kinto_redis.listeners") return Kind::kRedis;
  std::string_view last = use.substr(use.rfind('.') + 1);
  if (last == "redis") return Kind::kRedis;
  if (last == "webhook") return Kind::kWebhook;
  return Kind::kUnknown;
}

struct Listener {
  std::string name;
  Kind kind = Kind::kUnknown;
  std::string use;
  EventBus::Filter filter;
  std::unique_ptr<Courier> courier;
};

// Kinto's event and what happened to each object. Objects that would make the message too long are
// left out and counted.
std::string withObjects(const EventGroup& group) {
  std::string out = payloadOf(group);
  out.back() = ',';
  out += "\"impacted_objects\":[";
  std::size_t shown = 0;
  for (const Event* event : group.events) {
    std::size_t before = out.size();
    if (shown > 0) out += ',';
    out += "{\"new\":";
    renderObject(out, event->object);
    if (event->old) {
      out += ",\"old\":";
      renderObject(out, *event->old);
    }
    out += '}';
    if (out.size() > kMaxWebhookBytes) {
      out.resize(before);
      break;
    }
    ++shown;
  }
  out += ']';
  if (std::size_t left = group.events.size() - shown; left > 0) {
    out += ",\"left_out\":" + std::to_string(left);
  }
  return out + "}";
}

class ListenersPlugin final : public Plugin {
 public:
  [[nodiscard]] std::string name() const override { return "listeners"; }

  Result<void> setUp(Setup& setup) override {
    const Config& config = setup.config();
    for (const std::string& name : config.list("event_listeners")) {
      Listener listener;
      GODWIT_TRY(read(config, name, listener));
      if (!listener.courier) continue;
      listeners_.push_back(std::move(listener));
    }
    for (Listener& listener : listeners_) {
      Courier* courier = listener.courier.get();
      bool objects = listener.kind == Kind::kWebhook;
      auto heard = [courier, objects](const EventGroup& group) {
        courier->post(objects ? uuid4() + withObjects(group) : payloadOf(group));
      };
      setup.events().subscribe(listener.filter, heard);
    }
    addGauges(setup);
    return {};
  }

  void stop(Deadline deadline) override {
    Deadline until = deadline.earlier(Deadline::after(kDrain));
    for (Listener& listener : listeners_) listener.courier->beginStop(until);
    for (Listener& listener : listeners_) listener.courier->stop(until);
  }

 private:
  static Result<void> read(const Config& config, const std::string& name, Listener& out) {
    // A listener may be named by its module, without a name of its own.
    out.name = name.substr(name.rfind('.') + 1);
    std::string prefix = "event_listeners." + out.name + ".";
    bool module = name.find('.') != std::string::npos;
    out.use = config.text(prefix + "use", module ? name : "");
    if (out.use.empty()) {
      return Error(ErrorCode::kInvalid, prefix +
                                            "use is not set (hint: godwit.listeners.redis or "
                                            "godwit.listeners.webhook)");
    }
    out.kind = kindOf(out.use);
    if (out.kind == Kind::kUnknown) {
      log::warn("listener is left out: Python code cannot be loaded",
                {{"listener", name}, {"use", out.use}});
      return {};
    }
    GODWIT_TRY(readFilter(config, prefix, out.filter));
    return connect(config, prefix, out);
  }

  static Result<void> readFilter(const Config& config, const std::string& prefix,
                                 EventBus::Filter& filter) {
    filter.resources = config.list(prefix + "resources");
    bool reads_only = false;
    for (const std::string& word : config.list(prefix + "actions")) {
      if (word == "read") {
        log::warn("reads are not published", {{"setting", prefix + "actions"}});
        reads_only = true;
        continue;
      }
      auto action = std::find_if(std::begin(kActions), std::end(kActions),
                                 [&](Action a) { return toString(a) == word; });
      if (action == std::end(kActions)) {
        return Error(ErrorCode::kInvalid,
                     prefix + "actions: \"" + word + "\" is none of create, update, delete");
      }
      filter.actions.push_back(*action);
    }
    if (reads_only && filter.actions.empty()) filter.resources = {"nothing at all"};
    return {};
  }

  static Result<void> connect(const Config& config, const std::string& prefix, Listener& out) {
    Courier::Options options;
    options.name = out.name;
    auto number = [&](const char* key, std::int64_t fallback) {
      return toInt(config.text(prefix + key)).value_or(fallback);
    };
    options.max_messages = static_cast<std::size_t>(number("queue_size", 10'000));
    if (auto timeout = parseDuration(config.text(prefix + "timeout"))) options.timeout = *timeout;
    std::string url = config.text(prefix + "url");
    Result<std::unique_ptr<Carrier>> carrier = Error(ErrorCode::kInvalid, "");
    if (out.kind == Kind::kRedis) {
      constexpr std::size_t kTogether = 100;
      bool cliquet = out.use.starts_with("cliquet");
      std::string list =
          config.text(prefix + "listname", cliquet ? "cliquet.events" : "kinto.core.events");
      options.batch = kTogether;
      options.max_attempts = 0;
      carrier = makeRedisCarrier(url.empty() ? "redis://127.0.0.1:6379/0" : url, std::move(list));
    } else {
      options.max_attempts = static_cast<unsigned>(number("max_attempts", 10));
      carrier = makeWebhookCarrier(url);
    }
    if (!carrier.ok()) {
      return Error(ErrorCode::kInvalid, prefix + "url: " + carrier.error().message);
    }
    out.courier = std::make_unique<Courier>(std::move(options), std::move(*carrier));
    return {};
  }

  void addGauges(Setup& setup) {
    struct Row {
      const char* outcome;
      std::uint64_t Courier::Counts::*count;
    };
    constexpr Row kRows[] = {{"delivered", &Courier::Counts::delivered},
                             {"dropped", &Courier::Counts::dropped},
                             {"given_up", &Courier::Counts::given_up}};
    for (const Listener& listener : listeners_) {
      for (const Row& row : kRows) {
        Gauge gauge;
        gauge.name = "godwit_listener_events_total";
        gauge.labels = "listener=\"" + listener.name + "\",outcome=\"" + row.outcome + "\"";
        gauge.read = [courier = listener.courier.get(), count = row.count] {
          return courier->counts().*count;
        };
        setup.addGauge(std::move(gauge));
      }
    }
    for (const Listener& listener : listeners_) {
      Gauge gauge;
      gauge.name = "godwit_listener_events_waiting";
      gauge.labels = "listener=\"" + listener.name + "\"";
      gauge.counter = false;
      gauge.read = [courier = listener.courier.get()] { return courier->counts().waiting; };
      setup.addGauge(std::move(gauge));
    }
  }

  static constexpr Action kActions[] = {Action::kCreate, Action::kUpdate, Action::kDelete};

  // Set once
  std::vector<Listener> listeners_;
};

}  // namespace

std::unique_ptr<Plugin> makeListenersPlugin() { return std::make_unique<ListenersPlugin>(); }

}  // namespace godwit::kinto
