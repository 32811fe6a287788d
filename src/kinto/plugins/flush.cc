#include "kinto/plugins/flush.h"

#include "kinto/app.h"
#include "kinto/exchange.h"
#include "store/session.h"

namespace godwit::kinto {
namespace {

class FlushPlugin final : public Plugin {
 public:
  [[nodiscard]] std::string name() const override { return "flush"; }
  [[nodiscard]] unsigned hooks() const override { return kAnswered; }

  Result<void> setUp(Setup& setup) override {
    setup.addCapability(
        "flush_endpoint",
        R"({"description":"The __flush__ endpoint can be used to remove all data from all backends.",)"
        R"("url":"https://kinto.readthedocs.io/en/latest/api/1.x/flush.html"})");
    auto route = std::make_unique<Route>();
    route->name = "flush";
    route->pattern = "/__flush__";
    route->methods = {"POST"};
    Service& post = route->services[indexOf(http::Method::kPost)];
    post.writes = true;
    post.work = [](store::Session& session, Call& call) -> Task<bool> {
      Result<void> flushed = co_await session.flush();
      if (!flushed.ok()) {
        call.app().storageFailed(call, flushed.error());
        co_return false;
      }
      call.answer.status = 202;
      call.answer.body = "{}";
      co_return true;
    };
    setup.addRoute(std::move(route));
    return {};
  }

  // After the commit: a flush that failed must not empty the cache.
  void answered(const Call& call) const override {
    if (!call.route || call.route->name != "flush" || call.answer.status != 202) return;
    call.app().cache().flush(call.exchange.reactor, [](Result<bool>) {});
  }
};

}  // namespace

std::unique_ptr<Plugin> makeFlushPlugin() { return std::make_unique<FlushPlugin>(); }

}  // namespace godwit::kinto
