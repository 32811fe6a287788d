#include "kinto/server.h"

#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "kinto/app.h"
#include "kinto/configure.h"
#include "kinto/plugins/catalog.h"
#include "kinto/plugins/request_log.h"
#include "kinto/secret.h"
#include "kinto/server_options.h"
#include "kinto/stores.h"

namespace godwit::kinto {
namespace {

bool isLoopback(const std::string& url) {
  return url.starts_with("unix:") || url.starts_with("http://127.") ||
         url.starts_with("http://[::1]") || url.starts_with("http://localhost");
}

// Without a configuration file the server is one to try out: basic authentication, a personal
// bucket, and a secret of its own. A file says everything itself, as it did for the predecessor.
Result<void> fillDefaults(const Settings& settings, Config& config) {
  if (!settings.iniFile().empty() || settings.has("multiauth.policies")) return {};
  config.policies = {{"basicauth", ""}};
  std::string& includes = config.raw["includes"];
  if (includes.empty()) includes = "default_bucket";
  if (!config.userid_hmac_secret.empty() || settings.backend("storage_backend") == "memory")
    return {};
  auto folder = dataFolder(settings);
  if (!folder.ok()) return std::move(folder).error();
  auto secret = keptSecret(*folder + "/userid_hmac_secret");
  if (!secret.ok()) return std::move(secret).error();
  config.userid_hmac_secret = std::move(*secret);
  return {};
}

Result<void> refuseUnsafe(const std::string& url, const Config& config) {
  if (isLoopback(url) || !config.userid_hmac_secret.empty()) return {};
  return Error(
      ErrorCode::kInvalid,
      "refusing to listen on " + url +
          " while userid_hmac_secret is empty: anybody could compute anybody's user id (hint: put "
          "kinto.userid_hmac_secret = $(openssl rand -hex 32) into the configuration)");
}

// A person reads six lines; a log reader one.
void announce(const http::Server& server, const Stores& stores, const ServeOptions& options) {
  std::string urls;
  for (const std::string& endpoint : server.endpoints()) {
    if (!urls.empty()) urls += " ";
    urls += endpoint.starts_with("unix:") ? endpoint : endpoint + "/v1/";
  }
  if (!::isatty(STDERR_FILENO)) {
    log::info(
        "ready",
        {{"version", options.version}, {"url", urls}, {"data", stores.place}, {"pid", ::getpid()}});
    return;
  }
  std::string text =
      "godwit " + options.version + "\n  url    " + urls + "\n  data   " + stores.place +
      "\n  docs   docs/quickstart.md\n  stop   Ctrl-C finishes what was asked; twice stops now\n"
      "  health godwit health\n";
  (void)!::write(STDERR_FILENO, text.data(), text.size());
}

void report(const http::DrainReport& drained) {
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.1f", static_cast<double>(drained.took.count()) / 1000);
  std::string line = "drained " + std::to_string(drained.finished) + " requests in " + seconds +
                     " s, " + std::to_string(drained.aborted) + " aborted";
  log::info(line, {{"finished", drained.finished},
                   {"refused", drained.refused},
                   {"aborted", drained.aborted},
                   {"connections_closed", drained.connections_closed}});
}

}  // namespace

Result<void> serve(const Settings& settings, const ServeOptions& options) {
  Config config = configFrom(settings, options.version);
  GODWIT_TRY(fillDefaults(settings, config));
  std::string url = listenUrl(settings);
  GODWIT_TRY(refuseUnsafe(url, config));
  auto stores = openStores(settings);
  if (!stores.ok()) return std::move(stores).error();

  App::Parts parts;
  parts.backend = stores->backend.get();
  parts.cache = stores->cache.get();
  std::vector<std::string> unknown;
  parts.plugins = choosePlugins(config, unknown);
  for (const std::string& name : unknown) {
    log::warn("configuration",
              {{"message", "includes: " + name + " means nothing here and is left out"}});
  }
  if (settings.getBool("godwit.access_log", true)) parts.plugins.push_back(makeRequestLog());
  auto app = App::make(std::move(config), std::move(parts));
  if (!app.ok()) return std::move(app).error();

  http::Server server(serverOptionsFrom(settings));
  server.onProtocolError(
      [&app](int status, http::Response& response) { (*app)->protocolError(status, response); });
  server.onRequest([&app](const http::Request& request, http::Reply reply) {
    (*app)->handle(request, std::move(reply));
  });
  GODWIT_TRY(server.listen(url));
  server.onReady([&] { announce(server, *stores, options); });
  server.onDrain([] { log::info("draining"); });
  server.onStopped([&](Deadline deadline) { stores->backend->stop(deadline); });
  auto drained = server.run();
  if (!drained.ok()) return std::move(drained).error();
  report(*drained);
  return {};
}

}  // namespace godwit::kinto
