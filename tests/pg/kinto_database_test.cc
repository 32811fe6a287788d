// A database in Kinto's format is served as it is, and what is written stays readable for Kinto.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "cluster.h"
#include "json/value.h"
#include "node.h"
#include "store/postgresql/migrate.h"
#include "store/postgresql/schema.h"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using store::Mode;
using store::Verdict;
namespace pg = store::postgresql;
using testing::HasSubstr;

std::string fixture() {
  std::ifstream in(KINTO_FIXTURE);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// Runs `f(session)`, which returns Task<Result<T>>, in a unit of its own.
template <class F>
auto call(Node& node, Mode mode, F f) {
  using R = decltype(std::declval<F&>()(std::declval<store::Session&>()).await_resume());
  std::optional<R> out;
  store::Work work = [&](store::Session& s) -> Task<Verdict> {
    out.reset();
    auto task = f(s);
    R r = co_await task;
    out.emplace(std::move(r));
    co_return out->ok() ? Verdict::kCommit : Verdict::kRollback;
  };
  auto ran = node.run(mode, work);
  if (!ran.ok()) return R(ran.error());
  return std::move(*out);
}

class KintoDatabase : public testing::Test {
 protected:
  void SetUp() override {
    if (!Cluster::whyNot().empty()) GTEST_SKIP() << Cluster::whyNot();
    static int n = 0;
    db_ = "kinto" + std::to_string(++n);
    cluster().createDatabase(db_);
    cluster().exec(fixture(), db_);
    node_ = std::make_unique<Node>(pg::Options(cluster().url(db_)));
  }
  static Cluster& cluster() { return Cluster::shared(); }

  std::string db_;
  std::unique_ptr<Node> node_;
  const store::Ref articles_{"record", "/buckets/blog/collections/articles"};
};

TEST_F(KintoDatabase, needs_no_migration) {
  pg::MigrateRequest request;
  request.url = cluster().url(db_);
  request.storage = request.permission = request.cache = true;
  auto report = pg::migrate(request, Deadline::after(30s));
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_TRUE(report->steps.empty());
  auto state = pg::inspect(request.url, Deadline::after(30s));
  ASSERT_TRUE(state.ok());
  EXPECT_TRUE(pg::checkServable(*state, true, true, true).ok());
}

TEST_F(KintoDatabase, objects_groups_and_entries_come_in_one_load) {
  store::LoadSpec spec;
  spec.user = "account:alice";
  spec.uris = {articles_.parent + "/records/a1", articles_.parent, "/buckets/blog"};
  spec.ref = articles_;
  spec.id = "a1";
  auto got = call(*node_, Mode::kPoint, [&](store::Session& s) { return s.load(spec); });
  ASSERT_TRUE(got.ok()) << got.error().detail;
  EXPECT_THAT(got->groups, testing::UnorderedElementsAre("/buckets/blog/groups/editors",
                                                         "/buckets/blog/groups/everybody"));
  EXPECT_EQ(got->aces.size(), 4U);
  ASSERT_TRUE(got->object);
  EXPECT_EQ(got->object->last_modified, 1714550001001);
  auto data = json::parse(got->object->data);
  ASSERT_TRUE(data.ok());
  EXPECT_EQ(data->get("title")->asString(), "Premi\xC3\xA8re");
  EXPECT_EQ(data->get("n")->numberText(), "12345678901234567890");
  EXPECT_EQ(data->get("x")->numberText(), "1.50");
  EXPECT_THAT(got->object->data, HasSubstr("Premi\\u00E8re"));
  EXPECT_THAT(got->object->data, testing::Not(HasSubstr("\": ")));
}

TEST_F(KintoDatabase, lists_tombstones_and_old_timestamps) {
  store::Query q;
  q.include_deleted = true;
  auto all = call(*node_, Mode::kScan, [&](store::Session& s) { return s.list(articles_, q); });
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 4U);
  EXPECT_EQ((*all)[0].id, "a3");
  EXPECT_TRUE((*all)[0].deleted);
  EXPECT_EQ((*all)[3].id, "a0");
  EXPECT_EQ((*all)[3].last_modified, 1714550001000);  // .9996 s, rounded as as_epoch() does
  store::Ref empty{"record", "/buckets/blog/collections/empty"};
  auto at = call(*node_, Mode::kPoint, [&](store::Session& s) { return s.timestamp(empty); });
  ASSERT_TRUE(at.ok());
  EXPECT_EQ(*at, 1714550400123);
  at = call(*node_, Mode::kPoint, [&](store::Session& s) { return s.timestamp(articles_); });
  EXPECT_EQ(*at, 1714550001003);
}

TEST_F(KintoDatabase, accounts_keep_their_hash) {
  store::Ref accounts{"account", "alice"};
  auto alice =
      call(*node_, Mode::kPoint, [&](store::Session& s) { return s.get(accounts, "alice"); });
  ASSERT_TRUE(alice.ok());
  EXPECT_THAT(alice->data, HasSubstr("$2b$12$KIXQ"));
}

TEST_F(KintoDatabase, what_is_written_is_as_kinto_writes_it) {
  auto made = call(*node_, Mode::kWrite, [&](store::Session& s) {
    return s.create(articles_, makeObject("b1", "{\"title\":\"\\u00E9t\\u00E9\",\"n\":1}"));
  });
  ASSERT_TRUE(made.ok()) << made.error().detail;
  EXPECT_GT(made->last_modified, 1714550001003);
  EXPECT_EQ(cluster().exec("SELECT data::text FROM objects WHERE id = 'b1'", db_),
            "{\"n\": 1, \"title\": \"\xC3\xA9t\xC3\xA9\"}");
  EXPECT_EQ(cluster().exec("SELECT as_epoch(last_modified) FROM objects WHERE id = 'b1'", db_),
            std::to_string(made->last_modified));
  EXPECT_EQ(cluster().exec("SELECT extract(microsecond FROM last_modified)::int % 1000"
                           " FROM objects WHERE id = 'b1'",
                           db_),
            "0");
  auto gone =
      call(*node_, Mode::kWrite, [&](store::Session& s) { return s.remove(articles_, "b1", 0); });
  ASSERT_TRUE(gone.ok());
  EXPECT_EQ(cluster().exec("SELECT data::text || deleted FROM objects WHERE id = 'b1'", db_),
            "{\"deleted\": true}true");
  // A tombstone of Kinto's is replaced.
  auto again = call(*node_, Mode::kWrite, [&](store::Session& s) {
    return s.create(articles_, makeObject("a3", "{\"title\":\"back\"}"));
  });
  ASSERT_TRUE(again.ok());
  EXPECT_GT(again->last_modified, gone->last_modified);
}

TEST_F(KintoDatabase, null_characters_and_monstrous_numbers_are_the_clients_fault) {
  for (const char* data : {"{\"a\":\"x\\u0000y\"}", "{\"a\\u0000\":1}", "{\"a\":1e999999}"}) {
    auto r = call(*node_, Mode::kWrite,
                  [&](store::Session& s) { return s.create(articles_, makeObject("bad", data)); });
    ASSERT_FALSE(r.ok()) << data;
    EXPECT_EQ(r.error().code, ErrorCode::kInvalid) << data;
  }
  auto fine = call(*node_, Mode::kWrite, [&](store::Session& s) {
    return s.create(articles_, makeObject("ok", "{\"a\":\"x\\\\u0000y\",\"b\":1e100}"));
  });
  EXPECT_TRUE(fine.ok());
  auto r = call(*node_, Mode::kPoint,
                [&](store::Session& s) { return s.get(articles_, std::string_view("a\0b", 3)); });
  EXPECT_EQ(r.error().code, ErrorCode::kInvalid);
}

// --- Migration

class Migration : public testing::Test {
 protected:
  void SetUp() override {
    if (!Cluster::whyNot().empty()) GTEST_SKIP() << Cluster::whyNot();
    static int n = 0;
    db_ = "migrate" + std::to_string(++n);
    cluster().createDatabase(db_);
    request_.url = cluster().url(db_);
    request_.storage = request_.permission = request_.cache = true;
  }
  static Cluster& cluster() { return Cluster::shared(); }
  Result<pg::MigrateReport> migrate() { return pg::migrate(request_, Deadline::after(30s)); }

  // Everything there is: columns, indexes, functions' signatures, triggers.
  std::string shape(const std::string& db) {
    return cluster().exec(
        "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ("
        "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' "
        "||"
        " COALESCE(collation_name, '') || ' ' || COALESCE(column_default, '') AS line"
        " FROM information_schema.columns WHERE table_schema = 'public'"
        " UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " UNION ALL SELECT p.oid::regprocedure::text || ' ' || provolatile::text || ' ' ||"
        " prorettype::regtype::text FROM pg_proc p WHERE pronamespace = 'public'::regnamespace"
        " AND proname <> 'sec2ttl'"
        " UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal) x",
        db);
  }

  std::string db_;
  pg::MigrateRequest request_;
};

TEST_F(Migration, creates_what_kinto_would_have) {
  request_.dry_run = true;
  auto planned = migrate();
  ASSERT_TRUE(planned.ok()) << planned.error().message;
  EXPECT_EQ(planned->steps.size(), 3U);
  EXPECT_THAT(planned->sql, HasSubstr("CREATE TABLE IF NOT EXISTS objects"));
  EXPECT_EQ(cluster().exec("SELECT to_regclass('objects') IS NULL", db_), "t");
  request_.dry_run = false;
  auto done = migrate();
  ASSERT_TRUE(done.ok()) << done.error().message << done.error().detail;
  EXPECT_EQ(done->sql, planned->sql);
  std::string kinto = db_ + "_kinto";
  cluster().createDatabase(kinto);
  cluster().exec(fixture(), kinto);
  EXPECT_EQ(shape(db_), shape(kinto));
  auto again = migrate();
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->steps.empty());
}

TEST_F(Migration, upgrades_from_the_two_versions_before) {
  ASSERT_TRUE(migrate().ok());
  std::string whole = shape(db_);
  cluster().exec(
      "DELETE FROM metadata WHERE name LIKE '%schema_version';"
      "INSERT INTO metadata VALUES ('storage_schema_version', '24'),"
      " ('storage_schema_version', '9');"
      "DROP INDEX idx_objects_parent_id_record_last_modified;"
      "DROP TRIGGER tgr_objects_last_modified ON objects;"
      "ALTER TABLE user_principals ALTER COLUMN user_id TYPE TEXT COLLATE \"default\"",
      db_);
  auto done = migrate();
  ASSERT_TRUE(done.ok()) << done.error().message << done.error().detail;
  EXPECT_THAT(done->steps,
              testing::ElementsAre(HasSubstr("storage schema from version 24 to 25"),
                                   HasSubstr("storage schema from version 25 to 26"),
                                   HasSubstr("permission schema from version 1 to 2")));
  EXPECT_EQ(shape(db_), whole);
  auto state = pg::inspect(request_.url, Deadline::after(30s));
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->storage, 26);
  EXPECT_EQ(state->permission, 2);
}

TEST_F(Migration, refuses_newer_and_much_older_versions) {
  ASSERT_TRUE(migrate().ok());
  cluster().exec("INSERT INTO metadata VALUES ('storage_schema_version', '31')", db_);
  auto r = migrate();
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(r.error().message, HasSubstr("31"));
  auto state = pg::inspect(request_.url, Deadline::after(30s));
  ASSERT_TRUE(state.ok());
  EXPECT_FALSE(pg::checkServable(*state, true, true, true).ok());
  cluster().exec(
      "DELETE FROM metadata WHERE name = 'storage_schema_version';"
      "INSERT INTO metadata VALUES ('storage_schema_version', '12')",
      db_);
  r = migrate();
  ASSERT_FALSE(r.ok());
  EXPECT_THAT(r.error().message, HasSubstr("too old"));
}

TEST_F(Migration, refuses_a_database_that_is_not_utf8) {
  std::string latin = db_ + "_latin";
  cluster().createDatabase(latin, "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
  request_.url = cluster().url(latin);
  auto r = migrate();
  ASSERT_FALSE(r.ok());
  EXPECT_THAT(r.error().message, HasSubstr("UTF8"));
}

TEST_F(Migration, two_at_once_do_it_once) {
  std::vector<std::thread> threads;
  std::atomic<int> steps{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      auto done = pg::migrate(request_, Deadline::after(60s));
      EXPECT_TRUE(done.ok());
      if (done.ok()) steps += static_cast<int>(done->steps.size());
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(steps, 3);
}

TEST(PgOptions, read_kinto_settings) {
  std::map<std::string, std::string> s{{"storage_url", "postgresql+psycopg2://u:p%40@db/kinto"},
                                       {"storage_pool_size", "7"},
                                       {"storage_maxoverflow", "3"},
                                       {"storage_pool_timeout", "2.5"},
                                       {"storage_pool_recycle", "600"},
                                       {"storage_max_backlog", "0"},
                                       {"storage_max_fetch_size", "500"},
                                       {"storage_poolclass", "whatever"}};
  auto o = pg::optionsFrom(s, "storage_");
  ASSERT_TRUE(o.ok()) << o.error().message;
  EXPECT_EQ(o->url, "postgresql://u:p%40@db/kinto");
  EXPECT_EQ(o->pool_size, 7U);
  EXPECT_EQ(o->max_overflow, 3U);
  EXPECT_EQ(o->pool_timeout, 2s);
  EXPECT_EQ(o->pool_recycle, 600s);
  EXPECT_EQ(o->max_backlog, 0U);
  EXPECT_EQ(o->max_fetch_size, 500U);
  EXPECT_EQ(pg::publicUrl(o->url), "postgresql://u@db/kinto");
  s["storage_pool_size"] = "many";
  o = pg::optionsFrom(s, "storage_");
  ASSERT_FALSE(o.ok());
  EXPECT_THAT(o.error().message, HasSubstr("storage_pool_size"));
  EXPECT_FALSE(pg::optionsFrom({{"storage_url", "sqlite:x"}}, "storage_").ok());
}

}  // namespace
}  // namespace godwit::test
