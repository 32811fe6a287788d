// What the commands do to a store, through the same functions the program calls.
#include <sys/stat.h>

#include <filesystem>

#include "auth/password.h"
#include "json/value.h"
#include "kinto/server.h"
#include "kinto/stores.h"
#include "scenario_test.h"
#include "store/session.h"
#include "store/test_reactor.h"

namespace godwit::kinto {
namespace {

using Flags = std::vector<SettingsInput::Flag>;

Settings load(Flags flags) {
  SettingsInput input;
  input.flags = std::move(flags);
  auto s = Settings::load(input);
  EXPECT_TRUE(s.ok());
  return s.ok() ? *s : Settings();
}

// What is in memory is not for commands.
std::vector<std::string> storesOfCommands() {
  std::vector<std::string> names;
  for (const TestBackend& each : testBackends()) {
    if (each.settings) names.push_back(each.name);
  }
  return names;
}

class Maintenance : public testing::TestWithParam<std::string> {
 protected:
  Maintenance() {
    for (const TestBackend& each : testBackends()) {
      if (each.name == GetParam()) place_ = each.settings(keep_);
    }
  }

  [[nodiscard]] Settings settings(Flags flags = {}) const {
    for (const auto& [key, value] : place_) flags.push_back({key, value, "--set"});
    return load(std::move(flags));
  }

  // Runs `work` against the store as another program would.
  void inStore(const store::Work& work) {
    auto stores = openStores(settings());
    ASSERT_TRUE(stores.ok()) << stores.error().message;
    store::TestReactor loop;
    std::promise<Result<store::Verdict>> done;
    loop.post([&] {
      stores->backend->run(store::Mode::kWrite, loop, Deadline::after(std::chrono::seconds(30)),
                           work, [&](Result<store::Verdict> r) { done.set_value(std::move(r)); });
    });
    auto ran = done.get_future().get();
    EXPECT_TRUE(ran.ok());
    stores->backend->stop(Deadline::after(std::chrono::seconds(30)));
  }

  std::shared_ptr<void> keep_;
  TestBackend::Settings place_;
};
GODWIT_ON_EACH(Maintenance, storesOfCommands());

Task<store::Verdict> readAccount(store::Session& session, std::string& data,
                                 std::vector<store::Ace>& aces) {
  store::Ref ref{"account", "alice"};
  auto object = co_await session.get(ref, "alice");
  if (object.ok()) data = object->data;
  std::vector<std::string> uris{"/accounts/alice"};
  auto found = co_await session.aces(uris);
  if (found.ok()) aces = *found;
  co_return store::Verdict::kCommit;
}

TEST_P(Maintenance, create_user_stores_a_hash_and_its_owner) {
  auto made = createUser(settings(), "alice", "correct horse");
  ASSERT_TRUE(made.ok()) << made.error().message;
  std::string data;
  std::vector<store::Ace> aces;
  inStore([&](store::Session& s) { return readAccount(s, data, aces); });
  auto parsed = json::parse(data);
  ASSERT_TRUE(parsed.ok()) << data;
  EXPECT_TRUE(auth::verifyPassword("correct horse", parsed->get("password")->asString()));
  ASSERT_EQ(aces.size(), 1u);
  EXPECT_EQ(aces[0].principal, "account:alice");
  EXPECT_TRUE(createUser(settings(), "alice", "another").ok());  // replaces
}

Task<store::Verdict> makeTombstones(store::Session& session, int n) {
  store::Ref ref{"record", "/buckets/b/collections/c"};
  for (int i = 0; i < n; ++i) {
    store::Object object;
    object.id = "r" + std::to_string(i);
    auto created = co_await session.create(ref, std::move(object));
    if (!created.ok()) co_return store::Verdict::kRollback;
    std::string id = "r" + std::to_string(i);
    auto removed = co_await session.remove(ref, id, 0);
    if (!removed.ok()) co_return store::Verdict::kRollback;
  }
  co_return store::Verdict::kCommit;
}

TEST_P(Maintenance, purge_keeps_what_it_was_told_to_keep) {
  inStore([](store::Session& s) { return makeTombstones(s, 10); });
  auto none = purgeDeleted(settings(), {"bucket", "group"}, 3);
  ASSERT_TRUE(none.ok()) << none.error().message;
  EXPECT_EQ(*none, 0u);
  auto gone = purgeDeleted(settings(), {"record"}, 3);
  ASSERT_TRUE(gone.ok());
  EXPECT_EQ(*gone, 7u);
  EXPECT_EQ(*purgeDeleted(settings(), {"record"}, 3), 0u);
}

TEST_P(Maintenance, flush_cache_works_on_every_cache) {
  EXPECT_TRUE(flushCache(settings()).ok());
  EXPECT_TRUE(flushCache(settings({{"cache_backend", "memory", "--set"}})).ok());
}

TEST_P(Maintenance, rebuild_quotas_counts_anew_unless_it_only_tells) {
  inStore([](store::Session& s) -> Task<store::Verdict> {
    auto put = [&s](store::Ref ref, std::string id, std::string data) -> Task<bool> {
      store::Object object;
      object.id = std::move(id);
      object.data = std::move(data);
      object.last_modified = 1'700'000'000'000;
      auto made = co_await s.create(ref, std::move(object));
      co_return made.ok();
    };
    store::Ref buckets{"bucket", ""}, collections{"collection", "/buckets/b"};
    store::Ref records{"record", "/buckets/b/collections/c"}, quotas{"quota", "/buckets/b"};
    EXPECT_TRUE(co_await put(buckets, "b", "{}"));
    EXPECT_TRUE(co_await put(collections, "c", "{}"));
    EXPECT_TRUE(co_await put(records, "r", R"({"n":1})"));
    EXPECT_TRUE(co_await put(quotas, "bucket_info", R"({"record_count":9,"storage_size":9})"));
    co_return store::Verdict::kCommit;
  });
  auto stored = [&](const char* parent, const char* id) {
    std::string data;
    store::Ref list{"quota", parent};
    inStore([&](store::Session& s) -> Task<store::Verdict> {
      auto row = co_await s.get(list, id);
      data = row.ok() ? row->data : "null";
      co_return store::Verdict::kCommit;
    });
    return *json::parse(data);
  };
  std::vector<std::string> lines = {"Bucket b, collection c. Final size: 1 records, 86 bytes.",
                                    "Bucket b. Final size: 1 collections, 1 records, 126 bytes."};
  auto told = rebuildQuotas(settings(), true);
  ASSERT_TRUE(told.ok()) << told.error().message;
  EXPECT_EQ(*told, lines);
  EXPECT_EQ(stored("/buckets/b", "bucket_info"),
            *json::parse(R"({"record_count":9,"storage_size":9})"));
  auto done = rebuildQuotas(settings(), false);
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(*done, lines);
  EXPECT_EQ(stored("/buckets/b", "bucket_info"),
            *json::parse(R"({"collection_count":1,"record_count":1,"storage_size":126})"));
  EXPECT_EQ(stored("/buckets/b/collections/c", "collection_info"),
            *json::parse(R"({"record_count":1,"storage_size":86})"));
}

TEST(Migration, creates_the_file_unless_it_only_tells) {
  std::shared_ptr<void> keep;
  const std::string dir = makeTestFolder(keep) + "/data";
  Settings settings = load({{"godwit.data_dir", dir, "--data-dir"}});
  auto told = migrate(settings, true);
  ASSERT_TRUE(told.ok());
  EXPECT_FALSE(told->empty());
  EXPECT_FALSE(std::filesystem::exists(dir));
  auto done = migrate(settings, false);
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_NE(done->at(0).find(dir + "/godwit.db"), std::string::npos) << done->at(0);
  struct stat st {};
  ASSERT_EQ(::stat(dir.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700u);
  EXPECT_TRUE(migrate(settings, false).ok());
}

TEST(Stores, permissions_stay_with_the_objects) {
  auto stores =
      openStores(load({{"storage_backend", "memory", "--set"},
                       {"cache_backend", "memory", "--set"},
                       {"permission_backend", "kinto.core.permission.postgresql", "--set"}}));
  ASSERT_TRUE(stores.ok()) << stores.error().message;
  EXPECT_EQ(stores->backend->name(), "memory");
}

}  // namespace
}  // namespace godwit::kinto
