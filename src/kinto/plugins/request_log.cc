#include "kinto/plugins/request_log.h"

#include "base/log.h"
#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/text.h"

namespace godwit::kinto {
namespace {

class RequestLog final : public Plugin {
 public:
  [[nodiscard]] std::string name() const override { return "request_log"; }
  [[nodiscard]] unsigned hooks() const override { return kAnswered; }
  Result<void> setUp(Setup&) override { return {}; }

  void answered(const Call& call) const override {
    if (!log::enabled(log::Level::kInfo)) return;
    const Exchange& exchange = call.exchange;
    std::int64_t now_ms = call.app().clock().nowMs();
    std::size_t batch = exchange.batch ? exchange.batch->items.size() : 0;
    std::string_view user, policy;
    if (call.identity) {
      user = call.identity->user;
      policy = call.identity->policy;
    }
    log::info("request.summary", {log::unlessEmpty("agent", call.headers.user_agent),
                                  {"path", call.raw_path},
                                  {"method", call.method_name},
                                  log::unlessEmpty("lang", call.headers.accept_language),
                                  {"rid", exchange.request.id},
                                  {"errno", call.answer.errno_code},
                                  log::unlessEmpty("querystring", call.raw_query),
                                  log::unlessEmpty("uid", user),
                                  log::unlessEmpty("authn_type", policy),
                                  {"time", isoDate(now_ms * 1'000'000)},
                                  {"code", call.answer.status},
                                  {"t", now_ms - exchange.started_ms},
                                  {"batch_size", batch}});
  }
};

}  // namespace

std::unique_ptr<Plugin> makeRequestLog() { return std::make_unique<RequestLog>(); }

}  // namespace godwit::kinto
