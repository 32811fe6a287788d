#include "kinto/plugins/carriers.h"

#include "auth/fetch.h"
#include "kinto/text.h"
#include "store/redis/pusher.h"

namespace godwit::kinto {
namespace {

class RedisCarrier final : public Carrier {
 public:
  RedisCarrier(store::redis::Options options, std::string list)
      : pusher_(std::move(options)), list_(std::move(list)) {}

  Attempt carry(std::span<const std::string> messages, Deadline deadline) override {
    auto pushed = pusher_.push(list_, messages, deadline);
    if (pushed.ok()) return Attempt(Outcome::kDelivered, "");
    bool for_good = pushed.error().code == ErrorCode::kInvalid;
    return Attempt(for_good ? Outcome::kRefused : Outcome::kFailed, pushed.error().message);
  }
  void cancel() override { pusher_.cancel(); }

 private:
  store::redis::Pusher pusher_;
  const std::string list_;
};

class WebhookCarrier final : public Carrier {
 public:
  explicit WebhookCarrier(std::string url) : url_(std::move(url)) {}

  Attempt carry(std::span<const std::string> messages, Deadline deadline) override {
    std::string_view message = messages.front();
    std::string id(message.substr(0, kEventIdSize));
    message.remove_prefix(kEventIdSize);
    auth::FetchRequest request;
    request.method = "POST";
    request.url = url_;
    request.headers = {"Content-Type: application/json", "X-Godwit-Event: " + id};
    request.body = message;
    request.timeout = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
    request.max_response_bytes = 64 * 1024;
    if (request.timeout.count() == 0) return Attempt(Outcome::kFailed, "no time left");
    auto answer = fetcher_.fetchNow(std::move(request));
    if (!answer.ok()) return Attempt(Outcome::kFailed, answer.error().message);
    long status = answer->status;
    if (status >= 200 && status < 300) return Attempt(Outcome::kDelivered, "");
    bool again = status >= 500 || status == 408 || status == 425 || status == 429;
    Attempt attempt(again ? Outcome::kFailed : Outcome::kRefused,
                    "the receiver answers " + std::to_string(status));
    auto seconds = toInt(answer->header("retry-after")).value_or(0);
    constexpr std::int64_t kHour = 3600;
    if (seconds > 0) attempt.not_before = std::chrono::seconds(std::min(seconds, kHour));
    return attempt;
  }
  void cancel() override { fetcher_.close(); }

 private:
  auth::Fetcher fetcher_{1};
  const std::string url_;
};

}  // namespace

Result<std::unique_ptr<Carrier>> makeRedisCarrier(const std::string& url, std::string list) {
  auto options = store::redis::parseUrl(url);
  if (!options.ok()) {
    bool tls = options.error().code == ErrorCode::kUnsupported;
    return Error(ErrorCode::kInvalid,
                 tls ? options.error().message
                     : "must look like redis://[:password@]host[:port][/database]");
  }
  return std::unique_ptr<Carrier>(std::make_unique<RedisCarrier>(*options, std::move(list)));
}

Result<std::unique_ptr<Carrier>> makeWebhookCarrier(const std::string& url) {
  if (!url.starts_with("http://") && !url.starts_with("https://")) {
    return Error(ErrorCode::kInvalid, "must begin with http:// or https://");
  }
  return std::unique_ptr<Carrier>(std::make_unique<WebhookCarrier>(url));
}

}  // namespace godwit::kinto
