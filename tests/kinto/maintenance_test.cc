// What the commands do to a store, through the same functions the program calls.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "auth/password.h"
#include "json/value.h"
#include "kinto/server.h"
#include "kinto/stores.h"
#include "store/session.h"
#include "store/test_reactor.h"

namespace godwit::kinto {
namespace {

class MaintenanceTest : public testing::Test {
 protected:
  MaintenanceTest()
      : dir_(testing::TempDir() + "maintenance_test." + std::to_string(::getpid()) + "/data") {}
  ~MaintenanceTest() override {
    std::filesystem::remove_all(std::filesystem::path(dir_).parent_path());
  }

  [[nodiscard]] Settings settings(std::vector<SettingsInput::Flag> flags = {}) const {
    SettingsInput input;
    input.flags = std::move(flags);
    input.flags.push_back({"godwit.data_dir", dir_, "--data-dir"});
    auto s = Settings::load(input);
    EXPECT_TRUE(s.ok());
    return s.ok() ? *s : Settings();
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

  std::string dir_;
};

TEST_F(MaintenanceTest, migrate_creates_the_file_unless_it_only_tells) {
  auto told = migrate(settings(), true);
  ASSERT_TRUE(told.ok());
  EXPECT_FALSE(told->empty());
  EXPECT_FALSE(std::filesystem::exists(dir_));
  auto done = migrate(settings(), false);
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_NE(done->at(0).find(dir_ + "/godwit.db"), std::string::npos) << done->at(0);
  struct stat st {};
  ASSERT_EQ(::stat(dir_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700u);
  EXPECT_TRUE(migrate(settings(), false).ok());
}

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

TEST_F(MaintenanceTest, create_user_stores_a_hash_and_its_owner) {
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

TEST_F(MaintenanceTest, purge_keeps_what_it_was_told_to_keep) {
  inStore([](store::Session& s) { return makeTombstones(s, 10); });
  auto none = purgeDeleted(settings(), {"bucket", "group"}, 3);
  ASSERT_TRUE(none.ok()) << none.error().message;
  EXPECT_EQ(*none, 0u);
  auto gone = purgeDeleted(settings(), {"record"}, 3);
  ASSERT_TRUE(gone.ok());
  EXPECT_EQ(*gone, 7u);
  EXPECT_EQ(*purgeDeleted(settings(), {"record"}, 3), 0u);
}

TEST_F(MaintenanceTest, flush_cache_works_on_every_local_cache) {
  EXPECT_TRUE(flushCache(settings()).ok());
  EXPECT_TRUE(flushCache(settings({{"cache_backend", "memory", "--set"}})).ok());
}

TEST_F(MaintenanceTest, rebuild_quotas_counts_anew_unless_it_only_tells) {
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
      data = row.ok() ? row->data : "";
      co_return store::Verdict::kCommit;
    });
    return data;
  };
  std::vector<std::string> lines = {"Bucket b, collection c. Final size: 1 records, 86 bytes.",
                                    "Bucket b. Final size: 1 collections, 1 records, 126 bytes."};
  auto told = rebuildQuotas(settings(), true);
  ASSERT_TRUE(told.ok()) << told.error().message;
  EXPECT_EQ(*told, lines);
  EXPECT_EQ(stored("/buckets/b", "bucket_info"), R"({"record_count":9,"storage_size":9})");
  auto done = rebuildQuotas(settings(), false);
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(*done, lines);
  EXPECT_EQ(stored("/buckets/b", "bucket_info"),
            R"({"collection_count":1,"record_count":1,"storage_size":126})");
  EXPECT_EQ(stored("/buckets/b/collections/c", "collection_info"),
            R"({"record_count":1,"storage_size":86})");
}

TEST_F(MaintenanceTest, permissions_stay_with_the_objects) {
  auto stores =
      openStores(settings({{"storage_backend", "memory", "--set"},
                           {"permission_backend", "kinto.core.permission.postgresql", "--set"}}));
  ASSERT_TRUE(stores.ok()) << stores.error().message;
  EXPECT_EQ(stores->backend->name(), "memory");
}

}  // namespace
}  // namespace godwit::kinto
