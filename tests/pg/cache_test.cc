// The caches that live in servers of their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster.h"
#include "redis_server.h"
#include "store/conformance.h"
#include "store/postgresql/cache.h"
#include "store/redis/cache.h"

namespace godwit::store {
namespace {

using namespace std::chrono_literals;

test::RedisServer& sharedRedis() {
  static test::RedisServer server;
  return server;
}

std::unique_ptr<redis::RedisCache> redisCache(const std::string& prefix) {
  auto options = redis::parseUrl(sharedRedis().url());
  if (!options.ok()) return nullptr;
  options->prefix = prefix;
  return std::make_unique<redis::RedisCache>(std::move(*options));
}

std::optional<Opened> openRedis() {
  if (!test::RedisServer::whyNot().empty()) return std::nullopt;
  static int n = 0;
  Opened opened;
  opened.cache = redisCache("p" + std::to_string(++n) + "[*]:");
  opened.cache_holds_64_kib = false;
  return opened;
}

std::optional<Opened> openPostgres() {
  if (!test::Cluster::whyNot().empty()) return std::nullopt;
  auto& cluster = test::Cluster::shared();
  static const std::string kDatabase = cluster.freshDatabase();
  cluster.exec("TRUNCATE cache", kDatabase);
  Opened opened;
  opened.cache =
      std::make_unique<postgresql::PgCache>(postgresql::Options(cluster.url(kDatabase)), "kinto_");
  opened.cache_holds_64_kib = false;
  return opened;
}

INSTANTIATE_TEST_SUITE_P(Servers, CacheConformance,
                         testing::Values(Factory{"redis", openRedis},
                                         Factory{"postgresql", openPostgres}),
                         factoryName);

class RedisFaults : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::RedisServer::whyNot().empty()) GTEST_SKIP() << test::RedisServer::whyNot();
    cache_ = redisCache("f:");
  }
  void TearDown() override {
    if (cache_) cache_->stop(Deadline::after(10s));
  }
  template <class T, class F>
  T wait(F start) {
    std::promise<T> got;
    home_.post([&] { start([&](T v) { got.set_value(std::move(v)); }); });
    return got.get_future().get();
  }
  Result<bool> set(const std::string& key, const std::string& value) {
    return wait<Result<bool>>(
        [&](auto done) { cache_->set(home_, key, value, 60s, std::move(done)); });
  }
  Result<std::optional<std::string>> get(const std::string& key) {
    return wait<Result<std::optional<std::string>>>(
        [&](auto done) { cache_->get(home_, key, std::move(done)); });
  }
  bool ping(Deadline deadline) {
    return wait<bool>([&](auto done) { cache_->ping(home_, deadline, std::move(done)); });
  }

  TestReactor home_;
  std::unique_ptr<redis::RedisCache> cache_;
};

TEST_F(RedisFaults, killed_server_is_told_and_comes_back) {
  ASSERT_TRUE(set("k", "v").ok());
  sharedRedis().kill();
  auto r = get("k");
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(ping(Deadline::after(3s)));
  sharedRedis().start();
  bool back = false;
  for (int i = 0; i < 200 && !back; ++i) {
    back = set("k", "w").ok();
    if (!back) std::this_thread::sleep_for(20ms);
  }
  EXPECT_TRUE(back);
  EXPECT_EQ(**get("k"), "w");
}

TEST_F(RedisFaults, restart_between_calls_is_not_noticed) {
  ASSERT_TRUE(set("k", "v").ok());
  sharedRedis().kill();
  sharedRedis().start();
  auto r = set("k", "w");
  EXPECT_TRUE(r.ok()) << r.error().detail;
}

TEST_F(RedisFaults, paused_server_costs_no_more_than_the_deadline) {
  ASSERT_TRUE(set("k", "v").ok());
  sharedRedis().pause();
  EXPECT_FALSE(ping(Deadline::after(300ms)));
  auto r = get("k");
  ASSERT_FALSE(r.ok());
  sharedRedis().resume();
  bool back = false;
  for (int i = 0; i < 200 && !back; ++i) {
    back = get("k").ok();
    if (!back) std::this_thread::sleep_for(20ms);
  }
  EXPECT_TRUE(back);
  EXPECT_TRUE(ping(Deadline::after(3s)));
}

TEST_F(RedisFaults, wrong_password_is_told) {
  auto options =
      redis::parseUrl("redis://:wrong@127.0.0.1:" + std::to_string(sharedRedis().port()) + "/0");
  ASSERT_TRUE(options.ok());
  cache_->stop(Deadline::after(5s));
  cache_ = std::make_unique<redis::RedisCache>(std::move(*options));
  auto r = get("k");
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, ErrorCode::kUnavailable);
}

TEST(RedisUrl, parts_and_refusals) {
  auto o = redis::parseUrl("redis://me:p%40ss@cache.example:7000/3");
  ASSERT_TRUE(o.ok());
  EXPECT_EQ(o->user, "me");
  EXPECT_EQ(o->password, "p@ss");
  EXPECT_EQ(o->host, "cache.example");
  EXPECT_EQ(o->port, 7000);
  EXPECT_EQ(o->database, 3);
  o = redis::parseUrl("redis://[::1]:6380");
  ASSERT_TRUE(o.ok());
  EXPECT_EQ(o->host, "::1");
  EXPECT_EQ(o->port, 6380);
  o = redis::parseUrl("unix:///run/redis.sock?db=4");
  ASSERT_TRUE(o.ok());
  EXPECT_EQ(o->socket, "/run/redis.sock");
  EXPECT_EQ(o->database, 4);
  EXPECT_EQ(redis::parseUrl("rediss://x").error().code, ErrorCode::kUnsupported);
  EXPECT_FALSE(redis::parseUrl("http://x").ok());
  EXPECT_FALSE(redis::parseUrl("redis://x:99999").ok());
  EXPECT_FALSE(redis::parseUrl("redis://x/abc").ok());
}

}  // namespace
}  // namespace godwit::store
