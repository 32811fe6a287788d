#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "auth/fetch.h"
#include "godwit/result.h"
#include "kinto/courier.h"

namespace godwit::kinto {

// scheme://public_key[:secret]@host[:port][/path]/project, as Sentry hands it out.
struct SentryDsn {
  std::string envelope_url;
  std::string public_key;

  // Error: what is wrong with it, without its key.
  static Result<SentryDsn> parse(std::string_view text);
};

// The seconds for which the answer asks that no errors be sent; 0 for none. From
// X-Sentry-Rate-Limits, or Retry-After of a 429, which means a minute when it does not say.
std::chrono::seconds sentryPause(long status, std::string_view rate_limits,
                                 std::string_view retry_after);

// The gate every report passes: so many at once, so many per second, none while Sentry asks for
// silence. Any thread.
class ReportGate {
 public:
  using Clock = std::chrono::steady_clock;
  explicit ReportGate(double burst = 30, double per_second = 1)
      : burst_(burst), per_second_(per_second), tokens_(burst) {}

  bool pass(Clock::time_point now = Clock::now());
  void closeUntil(Clock::time_point when);
  [[nodiscard]] std::uint64_t held() const;

 private:
  const double burst_, per_second_;
  mutable std::mutex mu_;
  // Guarded by mu_.
  double tokens_;
  Clock::time_point filled_ = Clock::now();
  Clock::time_point closed_until_{};
  std::uint64_t held_ = 0;
};

// Envelopes over HTTP. An answer that asks for silence closes `gate`, which outlives this.
std::unique_ptr<Carrier> makeSentryCarrier(const SentryDsn& dsn, ReportGate& gate);

// An envelope with one event, given as a JSON object with "event_id".
std::string sentryEnvelope(std::string_view event_id, std::string_view sent_at,
                           std::string_view event_json);

// Whether what stands under this name must stay here: passwords, tokens, cookies.
bool isSecretName(std::string_view name);
// A query string, still encoded, with the values of secret names replaced.
std::string scrubQuery(std::string_view query);

}  // namespace godwit::kinto
