// Reads by keys that travel as one statement: each gets its own, fails alone, keeps its deadline.
#include <gmock/gmock.h>

#include <atomic>
#include <future>

#include "database_test.h"
#include "gate.h"
#include "node.h"
#include "store/postgresql/sql.h"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using store::Mode;
using store::Verdict;
namespace sql = store::postgresql::sql;

struct Asked {
  store::LoadSpec spec;
  Deadline deadline = Deadline::after(30s);
  store::Loaded loaded;
  Result<Verdict> verdict = Error(ErrorCode::kInternal, "not run");
};

Task<Verdict> look(store::Session& s, Asked* asked) {
  auto got = co_await s.load(asked->spec);
  if (!got.ok()) co_return Verdict::kRollback;
  asked->loaded = std::move(*got);
  co_return Verdict::kCommit;
}

// Starts all within one turn of the loop. The future is ready when all have been answered.
std::future<void> askAll(Node& node, std::vector<Asked>& all) {
  struct State {
    std::atomic<std::size_t> left;
    std::promise<void> done;
  };
  auto state = std::make_shared<State>();
  state->left = all.size();
  auto ready = state->done.get_future();
  node.loop().post([&node, &all, state] {
    for (auto& asked : all) {
      auto* a = &asked;
      node.backend().run(
          Mode::kPoint, node.loop(), a->deadline, [a](store::Session& s) { return look(s, a); },
          [a, state](Result<Verdict> v) {
            a->verdict = std::move(v);
            if (--state->left == 0) state->done.set_value();
          });
    }
  });
  return ready;
}

class Looks : public DatabaseTest {
 protected:
  static constexpr int kRecords = 50;
  static constexpr int kUsers = 7;

  void SetUp() override {
    DatabaseTest::SetUp();
    if (IsSkipped()) return;
    // Record n is {"n": n}, may be written by account n, and every user but the last has a group.
    cluster().exec(
        "INSERT INTO objects SELECT 'r' || n, '/buckets/b/collections/c', 'record',"
        " TIMESTAMP '2020-01-01' + n * INTERVAL '1 ms', jsonb_build_object('n', n), FALSE"
        " FROM generate_series(0, 49) n;"
        "INSERT INTO objects VALUES ('c', '/buckets/b', 'collection', now(), '{\"is\":\"c\"}', "
        "FALSE);"
        "INSERT INTO objects VALUES ('gone', '/buckets/b/collections/c', 'record',"
        " TIMESTAMP '2020-02-01', '{\"deleted\":true}', TRUE);"
        "INSERT INTO access_control_entries SELECT '/buckets/b/collections/c/records/r' || n,"
        " 'write', 'account:' || n FROM generate_series(0, 49) n;"
        "INSERT INTO access_control_entries VALUES ('/buckets/b', 'read', 'system.Everyone');"
        "INSERT INTO user_principals SELECT 'account:' || n, '/buckets/b/groups/g' || n"
        " FROM generate_series(0, 5) n;"
        "INSERT INTO user_principals VALUES ('system.Authenticated', '/buckets/b/groups/all'),"
        " ('account:3', '/buckets/b/groups/all')",
        db_);
  }

  static Asked asking(int n) {
    Asked a;
    a.spec.user = "account:" + std::to_string(n % kUsers);
    a.spec.ref = records("c");
    a.spec.id = "r" + std::to_string(n % kRecords);
    a.spec.uris = {"/buckets/b", a.spec.ref->parent + "/records/" + a.spec.id};
    if (n % 2 == 0) {
      a.spec.above = store::Ref{"collection", "/buckets/b"};
      a.spec.above_id = "c";
    }
    return a;
  }
  static void expectItsOwn(const Asked& a, int n) {
    ASSERT_TRUE(a.verdict.ok()) << n << ": " << a.verdict.error().detail;
    std::string record = std::to_string(n % kRecords);
    int user = n % kUsers;
    std::vector<std::string> groups = {"/buckets/b/groups/all"};
    if (user < 6) groups.push_back("/buckets/b/groups/g" + std::to_string(user));
    EXPECT_THAT(a.loaded.groups, testing::UnorderedElementsAreArray(groups)) << n;
    ASSERT_EQ(a.loaded.aces.size(), 2U) << n;
    EXPECT_EQ(a.loaded.aces[0].uri + a.loaded.aces[0].permission + a.loaded.aces[0].principal,
              "/buckets/breadsystem.Everyone");
    EXPECT_EQ(a.loaded.aces[1].principal, "account:" + record);
    ASSERT_TRUE(a.loaded.object) << n;
    EXPECT_EQ(a.loaded.object->id, "r" + record);
    EXPECT_EQ(a.loaded.object->data, "{\"n\":" + record + "}");
    EXPECT_EQ(a.loaded.object->last_modified, 1577836800000 + n % kRecords);
    EXPECT_EQ(a.loaded.above.has_value(), n % 2 == 0) << n;
    if (a.loaded.above) {
      EXPECT_EQ(a.loaded.above->data, "{\"is\":\"c\"}");
    }
  }
};

TEST_F(Looks, of_one_turn_share_a_statement_and_each_gets_its_own) {
  Node node(direct());
  std::vector<Asked> all;
  for (int n = 0; n < 300; ++n) all.push_back(asking(n));
  ASSERT_EQ(askAll(node, all).wait_for(30s), std::future_status::ready);
  for (int n = 0; n < 300; ++n) expectItsOwn(all[static_cast<std::size_t>(n)], n);
  auto counters = node.counters();
  EXPECT_EQ(counters.pool.gathered, 300U);
  EXPECT_EQ(counters.pool.reissued, 0U);
}

TEST_F(Looks, for_what_is_not_there_find_nothing) {
  Node node(direct());
  std::vector<Asked> all;
  for (int n = 0; n < 3; ++n) all.push_back(asking(n));
  all[1].spec.user.clear();
  all[1].spec.uris = {"/nowhere"};
  all[1].spec.id = "gone";
  all[1].spec.above_id = "nowhere";
  all[2].spec.ref.reset();
  ASSERT_EQ(askAll(node, all).wait_for(30s), std::future_status::ready);
  expectItsOwn(all[0], 0);
  for (const auto* a : {&all[1], &all[2]}) {
    ASSERT_TRUE(a->verdict.ok());
    EXPECT_FALSE(a->loaded.object);
  }
  EXPECT_FALSE(all[1].loaded.above);
  EXPECT_TRUE(all[1].loaded.aces.empty());
  EXPECT_TRUE(all[1].loaded.groups.empty());
  EXPECT_EQ(all[2].loaded.aces.size(), 2U);
}

TEST_F(Looks, that_the_server_refuses_fail_for_nobody_else) {
  Node node(direct());
  std::vector<Asked> all;
  for (int n = 0; n < 60; ++n) all.push_back(asking(n));
  all[31].spec.id = "not UTF-8: \xff";
  ASSERT_EQ(askAll(node, all).wait_for(30s), std::future_status::ready);
  for (int n = 0; n < 60; ++n) {
    if (n != 31) expectItsOwn(all[static_cast<std::size_t>(n)], n);
  }
  ASSERT_FALSE(all[31].verdict.ok());
  EXPECT_EQ(all[31].verdict.error().code, ErrorCode::kInvalid) << all[31].verdict.error().detail;
  EXPECT_EQ(node.counters().pool.reissued, 60U);
}

TEST_F(Looks, with_a_null_character_are_refused_before_they_travel) {
  Node node(direct());
  std::vector<Asked> all = {asking(0), asking(1)};
  all[1].spec.uris.push_back(std::string("/a\0b", 4));
  ASSERT_EQ(askAll(node, all).wait_for(30s), std::future_status::ready);
  expectItsOwn(all[0], 0);
  ASSERT_TRUE(all[1].verdict.ok());
  EXPECT_EQ(*all[1].verdict, Verdict::kRollback);
  EXPECT_EQ(node.counters().pool.reissued, 0U);
}

TEST_F(Looks, keep_their_own_deadlines) {
  Gate gate(cluster().port());
  Node node{store::postgresql::Options(cluster().tcpUrl(gate.port(), db_))};
  std::vector<Asked> warm = {asking(1)};
  ASSERT_EQ(askAll(node, warm).wait_for(30s), std::future_status::ready);
  gate.set(Gate::Mode::kStall);
  std::vector<Asked> late;
  std::vector<Asked> patient;
  for (int n = 0; n < 10; ++n) {
    patient.push_back(asking(n));
    late.push_back(asking(n));
    late.back().deadline = Deadline::after(300ms);
  }
  auto answered = askAll(node, patient);
  ASSERT_EQ(askAll(node, late).wait_for(10s), std::future_status::ready);
  for (const auto& a : late) {
    ASSERT_FALSE(a.verdict.ok());
    EXPECT_EQ(a.verdict.error().code, ErrorCode::kTimeout);
  }
  gate.set(Gate::Mode::kOpen);
  ASSERT_EQ(answered.wait_for(30s), std::future_status::ready);
  for (int n = 0; n < 10; ++n) expectItsOwn(patient[static_cast<std::size_t>(n)], n);
}

TEST_F(Looks, find_rows_by_index_however_small_the_tables_were) {
  std::string explain = std::string(sql::kSession) + "; PREPARE l AS " + std::string(sql::kLook) +
                        "; EXPLAIN (FORMAT JSON) EXECUTE l('{}', '{}', '{}', '{}', '{}')";
  for (const char* before : {"SELECT 1", "ANALYZE"}) {
    cluster().exec(before, db_);
    std::string plan = cluster().exec(explain, db_);
    EXPECT_THAT(plan, testing::Not(testing::HasSubstr("Seq Scan"))) << before;
    EXPECT_THAT(plan, testing::HasSubstr("objects_pkey")) << before;
  }
}

}  // namespace
}  // namespace godwit::test
