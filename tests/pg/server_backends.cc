#include "server_backends.h"

#include <cstdlib>

#include "cluster.h"
#include "redis_server.h"
#include "store/postgresql/backend.h"
#include "store/postgresql/cache.h"
#include "store/redis/cache.h"

namespace godwit::test {
namespace {

std::vector<std::string>& unused() {
  static std::vector<std::string> names;
  return names;
}

RedisServer& sharedRedis() {
  static RedisServer server;
  return server;
}

kinto::TestStores openPostgres() {
  auto database = Database::empty();
  kinto::TestStores out = database->open();
  out.keep = database;
  return out;
}

kinto::TestStores openWithRedis() {
  kinto::TestStores out = openPostgres();
  auto options = store::redis::parseUrl(sharedRedis().url());
  if (!options.ok()) std::abort();
  static int n = 0;
  options->prefix = "p" + std::to_string(++n) + ":";
  out.cache = std::make_unique<store::redis::RedisCache>(std::move(*options));
  return out;
}

kinto::TestBackend::Settings settings(std::shared_ptr<void>& keep) {
  auto database = Database::empty();
  keep = database;
  kinto::TestBackend::Settings out;
  for (const char* part : {"storage", "permission", "cache"}) {
    out.emplace_back(std::string(part) + "_backend", "postgresql");
    out.emplace_back(std::string(part) + "_url", database->url());
  }
  return out;
}

}  // namespace

std::shared_ptr<Database> Database::empty() {
  Cluster& cluster = Cluster::shared();
  std::string name;
  if (unused().empty()) {
    name = cluster.freshDatabase();
  } else {
    name = unused().back();
    unused().pop_back();
    // Not TRUNCATE, which makes new files: these tables hold a handful of rows.
    cluster.exec(
        "DELETE FROM objects; DELETE FROM timestamps; DELETE FROM user_principals;"
        "DELETE FROM access_control_entries; DELETE FROM cache",
        name);
  }
  auto give_back = [](Database* database) {
    unused().push_back(database->name());
    delete database;
  };
  return {new Database(std::move(name)), give_back};
}

std::string Database::url() const { return Cluster::shared().url(name_); }

kinto::TestStores Database::open(store::postgresql::Options options) const {
  options.url = url();
  kinto::TestStores out;
  out.cache = std::make_unique<store::postgresql::PgCache>(options, "");
  out.backend = std::make_unique<store::postgresql::PgBackend>(std::move(options));
  return out;
}

kinto::TestStores Database::open() const { return open(store::postgresql::Options()); }

}  // namespace godwit::test

namespace godwit::kinto {

const std::vector<TestBackend>& testBackends() {
  static const std::vector<TestBackend> kAll = {{"postgresql", test::openPostgres, test::settings}};
  return kAll;
}

const std::vector<TestBackend>& testCaches() {
  static const std::vector<TestBackend> kAll =
      test::RedisServer::whyNot().empty()
          ? std::vector<TestBackend>{{"postgresql_redis", test::openWithRedis, nullptr}}
          : std::vector<TestBackend>{};
  return kAll;
}

}  // namespace godwit::kinto
