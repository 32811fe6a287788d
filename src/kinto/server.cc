#include "kinto/server.h"

#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>

#include "base/encoding.h"
#include "base/log.h"
#include "base/os_error.h"
#include "kinto/admin.h"
#include "kinto/app.h"
#include "kinto/configure.h"
#include "kinto/plugins/catalog.h"
#include "kinto/plugins/request_log.h"
#include "kinto/plugins/spool_metrics.h"
#include "kinto/plugins/store_meter.h"
#include "kinto/privileges.h"
#include "kinto/secret.h"
#include "kinto/server_options.h"
#include "kinto/stores.h"
#include "kinto/text.h"
#include "store/memory/memory.h"

namespace godwit::kinto {
namespace {

// Without a configuration file the server is one to try out: basic authentication, a personal
// bucket, and a secret of its own, which `make_secret` reads or writes. A file says everything
// itself, as it did for the predecessor.
Result<void> fillDefaults(const Settings& settings, Config& config, bool make_secret) {
  if (!settings.iniFile().empty() || settings.has("multiauth.policies")) return {};
  config.policies = {{"basicauth", ""}};
  std::string& includes = config.raw["includes"];
  if (includes.empty()) includes = "default_bucket";
  if (!config.userid_hmac_secret.empty() || settings.backend("storage_backend") == "memory")
    return {};
  if (!make_secret) {
    config.userid_hmac_secret = "to be made";
    return {};
  }
  auto folder = dataFolder(settings);
  if (!folder.ok()) return std::move(folder).error();
  auto secret = keptSecret(*folder + "/userid_hmac_secret");
  if (!secret.ok()) return std::move(secret).error();
  config.userid_hmac_secret = std::move(*secret);
  config.raw.emplace("default_bucket_hmac_secret", config.userid_hmac_secret);
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
  bool admin = false;
  for (const std::string& endpoint : server.endpoints()) {
    if (!urls.empty()) urls += " ";
    urls += endpoint.starts_with("unix:") ? endpoint : endpoint + (admin ? "/__status__" : "/v1/");
    admin = true;  // what follows the first
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
  log::info(http::describe(drained), {{"finished", drained.finished},
                                      {"refused", drained.refused},
                                      {"aborted", drained.aborted},
                                      {"connections_closed", drained.connections_closed}});
}

Result<void> listenAt(http::Server& server, const std::string& url, std::string_view setting) {
  auto listening = server.listen(url);
  if (listening.ok()) return {};
  Error why = std::move(listening).error();
  auto because = [&why](int err) { return why.message.ends_with(errnoText(err)); };
  if (because(EADDRINUSE)) {
    why.message += " (hint: something listens there already; " + std::string(setting) +
                   " names another place)";
  } else if (because(EACCES)) {
    why.message += " (hint: ports below 1024 need root, or CAP_NET_BIND_SERVICE)";
  } else if (because(EADDRNOTAVAIL)) {
    why.message += " (hint: this machine has no such address)";
  }
  return why;
}

// hello's "config": which file this runs on.
std::string describeFile(const std::string& path) {
  struct stat info {};
  if (path.empty() || ::stat(path.c_str(), &info) != 0) return "null";
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  std::string out = "{\"path\":";
  json::dumpString(out, path);
  out += ",\"hash\":\"" + toHex(digest) + "\",\"modified\":\"";
  std::int64_t modified = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
  return out + isoDate(modified).substr(0, 26) + "\"}";
}

}  // namespace

Result<void> rehearse(const Settings& settings) {
  Config config = configFrom(settings, "");
  GODWIT_TRY(fillDefaults(settings, config, false));
  GODWIT_TRY(refuseUnsafe(listenUrl(settings), config));
  if (auto admin_url = adminUrl(settings); !admin_url.ok()) return std::move(admin_url).error();
  // The settings are the same, the data is not touched.
  auto backend = store::makeMemoryBackend();
  auto cache = store::makeMemoryCache();
  App::Parts parts;
  parts.backend = backend.get();
  parts.cache = cache.get();
  parts.plugins = choosePlugins(config);
  auto app = App::make(std::move(config), std::move(parts));
  if (!app.ok()) return std::move(app).error();
  return {};
}

Result<void> serve(const Settings& settings, const ServeOptions& options) {
  Config config = configFrom(settings, options.version);
  config.config_json = describeFile(settings.iniFile());
  GODWIT_TRY(fillDefaults(settings, config, true));
  std::string url = listenUrl(settings);
  GODWIT_TRY(refuseUnsafe(url, config));
  auto admin_url = adminUrl(settings);
  if (!admin_url.ok()) return std::move(admin_url).error();
  const bool measured = !admin_url->empty();
  ServerMetrics metrics;
  http::Server server(serverOptionsFrom(settings));
  GODWIT_TRY(listenAt(server, url, "--port or godwit.port"));
  if (!admin_url->empty()) GODWIT_TRY(listenAt(server, *admin_url, "godwit.admin_listen"));
  // Sockets may need root, files must belong to whom we run as.
  GODWIT_TRY(dropPrivileges(settings.getString("godwit.uid"), settings.getString("godwit.gid")));
  auto stores = openStores(settings);
  if (!stores.ok()) {
    Error why = std::move(stores).error();
    std::string& last = why.detail.empty() ? why.message : why.detail;
    if (last.find("(hint:") == std::string::npos) last += " (hint: godwit doctor looks closer)";
    return why;
  }

  StoreMeter meter;
  App::Parts parts;
  parts.plugins = choosePlugins(config, &meter);
  const bool timed = std::any_of(parts.plugins.begin(), parts.plugins.end(), [](const auto& p) {
    return (p->hooks() & Plugin::kTimesStores) != 0;
  });
  MeteredBackend metered(*stores->backend, meter);
  MeteredCache metered_cache(*stores->cache, meter);
  store::Backend& storage = timed ? metered : *stores->backend;
  MeasuredBackend backend(storage, metrics);
  if (measured) server.useMetrics(metrics);
  std::unique_ptr<Admin> admin;
  if (!admin_url->empty()) {
    admin = std::make_unique<Admin>(Admin::Parts{server, metrics, backend, options.version,
                                                 stores->place, options.surroundings});
  }

  parts.backend = measured ? &backend : &storage;
  parts.cache = timed ? &metered_cache : stores->cache.get();
  if (settings.getBool("godwit.access_log", true)) parts.plugins.push_back(makeRequestLog());
  if (std::string spool = metricsSpool(settings.getString("godwit.metrics_spool"));
      !spool.empty()) {
    parts.plugins.push_back(makeSpoolMetrics(std::move(spool)));
  }
  auto app = App::make(std::move(config), std::move(parts));
  if (!app.ok()) return std::move(app).error();

  server.onProtocolError(
      [&app](int status, http::Response& response) { (*app)->protocolError(status, response); });
  server.onRequest([&app, &admin](const http::Request& request, http::Reply reply) {
    if (admin && request.listener == 1) return admin->handle(request, std::move(reply));
    (*app)->handle(request, std::move(reply));
  });
  server.onReady([&] { announce(server, *stores, options); });
  server.onDrain([] { log::info("draining"); });
  server.onStopped([&](Deadline deadline) {
    (*app)->stop(deadline);
    stores->backend->stop(deadline);
    stores->cache->stop(deadline);
  });
  auto drained = server.run();
  if (!drained.ok()) return std::move(drained).error();
  report(*drained);
  return {};
}

}  // namespace godwit::kinto
