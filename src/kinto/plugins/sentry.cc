#include "kinto/plugins/sentry.h"

#include <unistd.h>

#include <algorithm>
#include <deque>

#include "base/clock.h"
#include "base/log_tap.h"
#include "base/options.h"
#include "base/random.h"
#include "kinto/app.h"
#include "kinto/courier.h"
#include "kinto/exchange.h"
#include "kinto/plugins/sentry_client.h"
#include "kinto/text.h"

namespace godwit::kinto {
namespace {

constexpr std::chrono::seconds kDrain{2};
constexpr std::size_t kMaxBreadcrumbs = 50;
constexpr std::size_t kMaxText = 2048;
constexpr std::string_view kCourierName = "sentry";

// Python's numbers, which the settings are in.
int numberOf(log::Level level) { return (static_cast<int>(level) + 1) * 10; }

constexpr std::string_view kLevels[] = {"debug", "info", "warning", "error"};

std::string hexId() {
  std::string id = uuid4();
  id.erase(std::remove(id.begin(), id.end(), '-'), id.end());
  return id;
}

void appendText(std::string& out, std::string_view text) {
  json::dumpString(out, text.substr(0, kMaxText));
}

// {"key":value,...} of a log line, without secrets.
std::string extraOf(log::Fields fields) {
  std::string out = "{";
  for (const log::Field& f : fields) {
    if (f.key.empty()) continue;
    if (out.size() > 1) out += ',';
    json::dumpString(out, f.key);
    out += ':';
    bool text = f.kind == log::Field::Kind::kString;
    if (isSecretName(f.key)) {
      out += "\"[Filtered]\"";
    } else if (text && f.key == "querystring") {
      appendText(out, scrubQuery(f.s));
    } else if (text) {
      appendText(out, maskUrl(f.s));
    } else if (f.kind == log::Field::Kind::kDouble) {
      out += json::dump(json::Value(f.d));
    } else if (f.kind == log::Field::Kind::kBool) {
      out += f.i != 0 ? "true" : "false";
    } else {
      out += std::to_string(f.i);
    }
  }
  return out + "}";
}

class SentryPlugin final : public Plugin {
 public:
  ~SentryPlugin() override {
    if (courier_) log::setTap(log::Level::kError, {});
  }

  [[nodiscard]] std::string name() const override { return "sentry"; }
  [[nodiscard]] unsigned hooks() const override { return kAnswered; }

  Result<void> setUp(Setup& setup) override {
    const Config& config = setup.config();
    auto dsn = SentryDsn::parse(config.text("sentry_dsn"));
    if (!dsn.ok()) return Error(ErrorCode::kInvalid, "sentry_dsn " + dsn.error().message);
    auto level = [&](const char* key, std::int64_t fallback) {
      return static_cast<int>(toInt(config.text(key)).value_or(fallback));
    };
    events_from_ = level("sentry_events_min_level", 30);
    crumbs_from_ = level("sentry_breadcrumbs_min_level", 10);
    makeFrame(config);
    Courier::Options options;
    options.name = kCourierName;
    options.max_messages = 100;
    options.max_bytes = 1 << 20;
    options.max_attempts = 3;
    courier_ = std::make_unique<Courier>(options, makeSentryCarrier(*dsn, gate_));
    addGauges(setup);
    int least = std::min(events_from_, crumbs_from_);
    auto from = static_cast<log::Level>(std::clamp((least + 9) / 10 - 1, 0, 3));
    if (least <= numberOf(log::Level::kError)) {
      log::setTap(from, [this](log::Level l, std::string_view event, log::Fields fields) {
        heard(l, event, fields);
      });
    }
    return {};
  }

  void answered(const Call& call) const override {
    if (call.answer.status != 500 || events_from_ > numberOf(log::Level::kError)) return;
    std::string request = "\"request\":{\"method\":";
    json::dumpString(request, call.method_name);
    request += ",\"url\":";
    appendText(request, call.baseUrl() + std::string(call.raw_path));
    if (!call.raw_query.empty()) {
      request += ",\"query_string\":";
      appendText(request, scrubQuery(call.raw_query));
    }
    request += "},\"transaction\":";
    json::dumpString(request, call.route ? call.route->name : std::string("unknown"));
    request += ",\"tags\":{\"rid\":";
    json::dumpString(request, call.exchange.request.id);
    request += '}';
    if (!call.user.empty()) {
      request += ",\"user\":{\"id\":";
      json::dumpString(request, call.user);
      request += '}';
    }
    std::string message = std::string(call.method_name) + " " +
                          (call.route ? call.route->name : std::string(call.raw_path)) +
                          " answered 500";
    report("error", message, request);
  }

  void stop(Deadline deadline) override {
    log::setTap(log::Level::kError, {});
    courier_->stop(deadline.earlier(Deadline::after(kDrain)));
  }

 private:
  // What all events share.
  void makeFrame(const Config& config) {
    char host[256] = "";
    (void)::gethostname(host, sizeof host - 1);
    frame_ = R"("platform":"native","logger":"godwit","server_name":)";
    json::dumpString(frame_, host);
    frame_ += ",\"release\":";
    json::dumpString(frame_, "godwit@" + config.project_version);
    if (std::string environment = config.text("sentry_env"); !environment.empty()) {
      frame_ += ",\"environment\":";
      json::dumpString(frame_, environment);
    }
    frame_ += R"(,"sdk":{"name":"godwit","version":"1"})";
  }

  void addGauges(Setup& setup) {
    auto add = [&](const char* outcome, std::function<std::uint64_t()> read) {
      Gauge gauge;
      gauge.name = "godwit_sentry_events_total";
      gauge.labels = std::string("outcome=\"") + outcome + "\"";
      gauge.read = std::move(read);
      setup.addGauge(std::move(gauge));
    };
    add("delivered", [this] { return courier_->counts().delivered; });
    add("dropped", [this] { return courier_->counts().dropped; });
    add("given_up", [this] { return courier_->counts().given_up; });
    add("rate_limited", [this] { return gate_.held(); });
  }

  void heard(log::Level level, std::string_view event, log::Fields fields) {
    // What the courier says about reports that do not arrive must not become reports.
    for (const log::Field& f : fields) {
      if (f.key == "to" && f.s == kCourierName) return;
    }
    std::string extra = extraOf(fields);
    auto name = kLevels[static_cast<std::size_t>(level)];
    if (numberOf(level) >= events_from_) report(name, event, "\"extra\":" + extra);
    if (numberOf(level) < crumbs_from_) return;
    std::string crumb = "{\"timestamp\":" + std::to_string(Clock::system().nowMs() / 1000) +
                        ",\"category\":\"log\",\"level\":\"" + std::string(name) +
                        "\",\"message\":";
    appendText(crumb, event);
    crumb += ",\"data\":" + extra + "}";
    std::lock_guard lock(mu_);
    if (crumbs_.size() == kMaxBreadcrumbs) crumbs_.pop_front();
    crumbs_.push_back(std::move(crumb));
  }

  // `more`: further members of the event.
  void report(std::string_view level, std::string_view message, std::string_view more) const {
    if (!gate_.pass()) return;
    std::string id = hexId();
    std::string now = isoDate(Clock::system().nowNs()).substr(0, 23) + "Z";
    std::string event = "{\"event_id\":\"" + id + "\",\"timestamp\":\"" + now + "\",\"level\":\"";
    event.append(level).append("\",").append(frame_).append(",\"message\":{\"formatted\":");
    appendText(event, message);
    event.append("},").append(more).append(",\"breadcrumbs\":{\"values\":[");
    {
      std::lock_guard lock(mu_);
      for (const std::string& crumb : crumbs_) {
        if (event.back() != '[') event += ',';
        event += crumb;
      }
    }
    event += "]}}";
    courier_->post(sentryEnvelope(id, now, event));
  }

  // Set once
  int events_from_ = 30, crumbs_from_ = 10;
  std::string frame_;

  mutable ReportGate gate_;
  mutable std::mutex mu_;
  std::deque<std::string> crumbs_;  // guarded by mu_

  std::unique_ptr<Courier> courier_;
};

}  // namespace

std::unique_ptr<Plugin> makeSentryPlugin() { return std::make_unique<SentryPlugin>(); }

}  // namespace godwit::kinto
