#include "kinto/plugins/sentry_client.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "json/value.h"
#include "kinto/text.h"

namespace godwit::kinto {
namespace {

constexpr std::int64_t kDefaultPause = 60;
constexpr std::int64_t kLongestPause = 24 * 3600;
constexpr std::string_view kFiltered = "[Filtered]";

class SentryCarrier final : public Carrier {
 public:
  SentryCarrier(SentryDsn dsn, ReportGate& gate) : dsn_(std::move(dsn)), gate_(gate) {}

  Attempt carry(std::span<const std::string> messages, Deadline deadline) override {
    auth::FetchRequest request;
    request.method = "POST";
    request.url = dsn_.envelope_url;
    request.headers = {
        "Content-Type: application/x-sentry-envelope",
        "X-Sentry-Auth: Sentry sentry_version=7, sentry_client=godwit/1, sentry_key=" +
            dsn_.public_key};
    request.body = messages.front();
    request.timeout = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
    request.max_response_bytes = 64 * 1024;
    if (request.timeout.count() == 0) return Attempt(Outcome::kFailed, "no time left");
    auto answer = fetcher_.fetchNow(std::move(request));
    if (!answer.ok()) return Attempt(Outcome::kFailed, answer.error().message);
    auto pause = sentryPause(answer->status, answer->header("x-sentry-rate-limits"),
                             answer->header("retry-after"));
    if (pause.count() > 0) gate_.closeUntil(ReportGate::Clock::now() + pause);
    if (answer->status >= 200 && answer->status < 300) return Attempt(Outcome::kDelivered, "");
    // A report that Sentry has no room for is of no use later.
    bool again = answer->status >= 500;
    return Attempt(again ? Outcome::kFailed : Outcome::kRefused,
                   "Sentry answers " + std::to_string(answer->status));
  }
  void cancel() override { fetcher_.close(); }

 private:
  auth::Fetcher fetcher_{1};
  const SentryDsn dsn_;
  ReportGate& gate_;
};

}  // namespace

Result<SentryDsn> SentryDsn::parse(std::string_view text) {
  Error bad(ErrorCode::kInvalid, "must look like https://key@host/project");
  std::size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) return bad;
  std::string_view scheme = text.substr(0, scheme_end);
  std::string_view rest = text.substr(scheme_end + 3);
  if (scheme != "https" && scheme != "http") return bad;
  std::size_t at = rest.find('@');
  std::size_t slash = rest.rfind('/');
  if (at == std::string_view::npos || slash == std::string_view::npos || slash < at) return bad;
  std::string_view key = rest.substr(0, std::min(rest.find(':'), at));
  std::string_view host = rest.substr(at + 1, slash - at - 1);  // and a path before the project
  std::string_view project = rest.substr(slash + 1);
  auto plain = [](std::string_view s) {
    return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) { return c > ' ' && c < 127; });
  };
  if (!plain(key) || !plain(host) || !plain(project)) return bad;
  SentryDsn out;
  out.public_key = key;
  out.envelope_url = std::string(scheme) + "://" + std::string(host) + "/api/" +
                     std::string(project) + "/envelope/";
  return out;
}

std::chrono::seconds sentryPause(long status, std::string_view rate_limits,
                                 std::string_view retry_after) {
  std::int64_t pause = 0;
  for (std::string_view limit : split(rate_limits, ',')) {
    auto parts = split(trim(limit), ':');
    auto seconds = toInt(parts[0]);
    if (!seconds) continue;
    std::string_view categories = parts.size() > 1 ? parts[1] : "";
    auto names = split(categories, ';');
    bool ours = categories.empty() || std::any_of(names.begin(), names.end(), [](auto name) {
                  return name == "error" || name == "default";
                });
    if (ours) pause = std::max(pause, *seconds);
  }
  if (status == 429 && rate_limits.empty()) {
    pause = std::max(pause, toInt(retry_after).value_or(kDefaultPause));
  }
  return std::chrono::seconds(std::clamp<std::int64_t>(pause, 0, kLongestPause));
}

bool ReportGate::pass(Clock::time_point now) {
  std::lock_guard lock(mu_);
  std::chrono::duration<double> since = now - filled_;
  tokens_ = std::min(burst_, tokens_ + std::max(since.count(), 0.0) * per_second_);
  filled_ = std::max(filled_, now);
  if (now < closed_until_ || tokens_ < 1) {
    ++held_;
    return false;
  }
  tokens_ -= 1;
  return true;
}

void ReportGate::closeUntil(Clock::time_point when) {
  std::lock_guard lock(mu_);
  closed_until_ = std::max(closed_until_, when);
}

std::uint64_t ReportGate::held() const {
  std::lock_guard lock(mu_);
  return held_;
}

std::unique_ptr<Carrier> makeSentryCarrier(const SentryDsn& dsn, ReportGate& gate) {
  return std::make_unique<SentryCarrier>(dsn, gate);
}

std::string sentryEnvelope(std::string_view event_id, std::string_view sent_at,
                           std::string_view event_json) {
  std::string out = "{\"event_id\":";
  json::dumpString(out, event_id);
  out += ",\"sent_at\":";
  json::dumpString(out, sent_at);
  out += "}\n{\"type\":\"event\",\"content_type\":\"application/json\",\"length\":" +
         std::to_string(event_json.size()) + "}\n";
  return out.append(event_json).append("\n");
}

bool isSecretName(std::string_view name) {
  std::string n = lower(name);
  for (const char* part : {"passw", "secret", "token", "authorization", "cookie", "dsn", "api_key",
                           "apikey", "credential", "private"}) {
    if (n.find(part) != std::string::npos) return true;
  }
  return n == "auth" || n == "code" || n == "state";
}

std::string scrubQuery(std::string_view query) {
  std::string out;
  for (std::string_view pair : split(query, '&')) {
    if (!out.empty()) out += '&';
    std::size_t equals = pair.find('=');
    std::string_view name = pair.substr(0, equals);
    // A name that hides behind an escape is not worth guessing.
    bool secret = isSecretName(name) || name.find('%') != std::string_view::npos;
    out += name;
    if (equals == std::string_view::npos) continue;
    out += '=';
    out += secret ? kFiltered : pair.substr(equals + 1);
  }
  return out;
}

}  // namespace godwit::kinto
