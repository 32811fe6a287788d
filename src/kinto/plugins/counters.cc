#include "kinto/plugins/counters.h"

#include "json/value.h"
#include "kinto/app.h"
#include "store/session.h"

namespace godwit::kinto {
namespace {

void appendCounts(std::string& out, const char* name,
                  const std::map<std::string, std::uint64_t>& counts) {
  out += '"';
  out += name;
  out += "\":{";
  bool first = true;
  for (const auto& [resource, n] : counts) {
    if (!first) out += ',';
    first = false;
    json::dumpString(out, resource);
    out += ':';
    out += std::to_string(n);
  }
  out += '}';
}

class CountersPlugin final : public Plugin {
 public:
  [[nodiscard]] std::string name() const override { return "counters"; }

  Result<void> setUp(Setup& setup) override {
    setup.addCapability(
        "counters_endpoint",
        R"({"description":"The __counters__ endpoint exposes how many objects are stored.",)"
        R"("url":"https://kinto.readthedocs.io/en/latest/api/1.x/counters.html"})");
    auto route = std::make_unique<Route>();
    route->name = "counters";
    route->pattern = "/__counters__";
    route->methods = {"GET"};
    route->services[indexOf(http::Method::kGet)].work = [](store::Session& session,
                                                           Call& call) -> Task<bool> {
      Result<store::Session::Counts> counts = co_await session.counts();
      if (!counts.ok()) {
        call.app().storageFailed(call, counts.error());
        co_return false;
      }
      std::string& out = call.answer.body;
      out = "{";
      appendCounts(out, "objects", counts->objects);
      out += ',';
      appendCounts(out, "tombstones", counts->tombstones);
      out += '}';
      co_return true;
    };
    setup.addRoute(std::move(route));
    return {};
  }
};

}  // namespace

std::unique_ptr<Plugin> makeCountersPlugin() { return std::make_unique<CountersPlugin>(); }

}  // namespace godwit::kinto
