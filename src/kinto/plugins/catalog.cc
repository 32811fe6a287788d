#include "kinto/plugins/catalog.h"

#include <algorithm>

#include "kinto/plugins/accounts.h"
#include "kinto/plugins/admin.h"
#include "kinto/plugins/counters.h"
#include "kinto/plugins/default_bucket.h"
#include "kinto/plugins/flush.h"
#include "kinto/plugins/fxa.h"
#include "kinto/plugins/history.h"
#include "kinto/plugins/listeners.h"
#include "kinto/plugins/metrics.h"
#include "kinto/plugins/openid.h"
#include "kinto/plugins/permissions_list.h"
#include "kinto/plugins/quotas.h"
#include "kinto/plugins/schema_validation.h"
#include "kinto/plugins/sentry.h"
#include "kinto/plugins/user_data.h"

namespace godwit::kinto {
namespace {

struct Row {
  std::string_view name;  // in `includes`, after "kinto.plugins."
  std::unique_ptr<Plugin> (*make)(StoreMeter*);
};

template <auto kMake>
std::unique_ptr<Plugin> plain(StoreMeter*) {
  return kMake();
}

// In the order in which hooks run: schemas judge what was sent, history records what was written.
constexpr Row kPlugins[] = {
    {"accounts", plain<makeAccountsPlugin>},
    {"default_bucket", plain<makeDefaultBucketPlugin>},
    {"schema", plain<makeSchemaPlugin>},
    {"permissions", plain<makePermissionsPlugin>},
    {"history", plain<makeHistoryPlugin>},
    {"quotas", plain<makeQuotasPlugin>},
    {"flush", plain<makeFlushPlugin>},
    {"counters", plain<makeCountersPlugin>},
    {"user_data", plain<makeUserDataPlugin>},
    {"listeners", plain<makeListenersPlugin>},
    {"sentry", plain<makeSentryPlugin>},
    {"prometheus", makePrometheusPlugin},
    {"statsd", makeStatsdPlugin},
    {"openid", plain<makeOpenIdPlugin>},
    {"fxa", plain<makeFxaPlugin>},
    {"admin", plain<makeAdminPlugin>},
};

std::string_view bareName(std::string_view include) {
  constexpr std::string_view kPrefix = "kinto.plugins.";
  if (include.starts_with(kPrefix)) include.remove_prefix(kPrefix.size());
  // A package of its own, under two names in its time.
  if (include == "kinto_fxa" || include == "cliquet_fxa") return "fxa";
  return include;
}

}  // namespace

bool isPlugin(std::string_view include) {
  return std::any_of(std::begin(kPlugins), std::end(kPlugins),
                     [&](const Row& r) { return r.name == bareName(include); });
}

std::vector<std::unique_ptr<Plugin>> choosePlugins(const Config& config, StoreMeter* meter) {
  std::vector<std::string> wanted;
  for (const std::string& include : config.list("includes")) {
    wanted.emplace_back(bareName(include));
    // The admin application lists by it.
    if (wanted.back() == "admin") wanted.emplace_back("permissions");
  }
  if (config.flag("experimental_collection_schema_validation")) wanted.emplace_back("schema");
  if (config.flag("experimental_permissions_endpoint")) wanted.emplace_back("permissions");
  // The switch of the releases before there were plugins.
  if (config.flag("flush_endpoint_enabled")) wanted.emplace_back("flush");
  if (!config.text("statsd_url").empty()) wanted.emplace_back("statsd");
  if (!config.text("sentry_dsn").empty()) wanted.emplace_back("sentry");
  if (!config.list("event_listeners").empty()) wanted.emplace_back("listeners");
  for (const Config::PolicyConfig& policy : config.policies) {
    if (isOpenIdPolicy(policy.use)) wanted.emplace_back("openid");
    if (isFxaPolicy(policy.use)) wanted.emplace_back("fxa");
  }
  // Does nothing for whom user-data_delete_principals does not name.
  wanted.emplace_back("user_data");

  std::vector<std::unique_ptr<Plugin>> out;
  for (const Row& row : kPlugins) {
    if (std::find(wanted.begin(), wanted.end(), row.name) != wanted.end())
      out.push_back(row.make(meter));
  }
  return out;
}

}  // namespace godwit::kinto
