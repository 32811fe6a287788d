// Fresh objects that a unit of work adds: sent together, undone together, found out together.
#include <gmock/gmock.h>

#include <atomic>
#include <functional>
#include <future>

#include "base/random.h"
#include "database_test.h"
#include "gate.h"
#include "node.h"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using store::Mode;
using store::Verdict;

store::Put fresh(const std::string& list, const std::string& id) {
  store::Put put;
  put.ref = records(list);
  put.object = makeObject(id, "{\"of\":\"" + id + "\"}");
  put.create = true;
  put.fresh = true;
  put.uri = put.ref.parent + "/records/" + id;
  put.permissions = {{"write", {"account:a", "account:b", "account:a"}}};
  return put;
}

// What one unit adds, and what it was told.
struct Addition {
  std::vector<store::Put> puts;
  std::vector<store::Object> made;
  std::size_t refused = 0;
  std::size_t seen = 0;  // objects of the first list, as the unit itself saw them in the end
  bool look = false;
  std::function<void()> after_first;  // of the writes, in each attempt
  Result<Verdict> verdict = Error(ErrorCode::kInternal, "not run");
};

Task<Verdict> adding(store::Session& s, Addition* a) {
  a->made.clear();
  a->refused = 0;
  for (const auto& put : a->puts) {
    store::Put copy = put;
    auto made = co_await s.put(std::move(copy));
    if (!made.ok() && made.error().code == ErrorCode::kInvalid) {
      ++a->refused;
      continue;
    }
    if (!made.ok()) co_return Verdict::kRollback;
    a->made.push_back(std::move(*made));
    if (a->made.size() == 1 && a->after_first) a->after_first();
  }
  if (a->look) {
    store::Query all;
    auto listed = co_await s.list(a->puts.front().ref, all);
    if (!listed.ok()) co_return Verdict::kRollback;
    a->seen = listed->size();
  }
  co_return Verdict::kCommit;
}

void runAll(Node& node, std::vector<Addition>& all) {
  std::atomic<std::size_t> left{all.size()};
  std::promise<void> done;
  node.loop().post([&] {
    for (auto& one : all) {
      auto* a = &one;
      node.backend().run(
          Mode::kWrite, node.loop(), Deadline::after(60s),
          [a](store::Session& s) { return adding(s, a); },
          [a, &left, &done](Result<Verdict> v) {
            a->verdict = std::move(v);
            if (--left == 0) done.set_value();
          });
    }
  });
  ASSERT_EQ(done.get_future().wait_for(60s), std::future_status::ready);
}

class Additions : public DatabaseTest {
 protected:
  // The list holds what was told, with the timestamps that were told and the entries.
  void expectStored(const Addition& a, const std::string& list) {
    for (const auto& object : a.made) {
      EXPECT_EQ(sql("SELECT as_epoch(last_modified) || (data->>'of') FROM objects WHERE id = '" +
                    object.id + "' AND parent_id = '" + records(list).parent + "'"),
                std::to_string(object.last_modified) + object.id);
      EXPECT_EQ(sql("SELECT string_agg(permission || ' ' || principal, ',' ORDER BY principal)"
                    " FROM access_control_entries WHERE object_id = '" +
                    records(list).parent + "/records/" + object.id + "'"),
                "write account:a,write account:b");
    }
  }
};

TEST_F(Additions, tell_no_timestamp_that_another_program_has_taken) {
  Node node(direct());
  std::vector<Addition> ahead(1);
  ahead[0].puts.push_back(fresh("one", "first"));
  runAll(node, ahead);
  ASSERT_EQ(ahead[0].made.size(), 1U);
  // Ahead of the clock timestamps follow one another, so that the next ones can be foretold.
  store::Timestamp far = ahead[0].made[0].last_modified + 3'600'000;
  sql("UPDATE objects SET last_modified = from_epoch(" + std::to_string(far) +
      ") WHERE id = 'first'");

  std::vector<Addition> all(1);
  Addition& a = all[0];
  for (const char* id : {"a", "b", "c"}) a.puts.push_back(fresh("one", id));
  int attempts = 0;
  // A node of Kinto's takes no lock.
  a.after_first = [&] {
    if (attempts++ > 0) return;
    sql("INSERT INTO objects (id, parent_id, resource_name, data, last_modified, deleted) VALUES"
        " ('kinto', '" +
        records("one").parent + "', 'record', '{}', from_epoch(" + std::to_string(far + 2) +
        "), FALSE)");
  };
  runAll(node, all);
  ASSERT_TRUE(a.verdict.ok()) << a.verdict.error().detail;
  EXPECT_EQ(attempts, 2);
  ASSERT_EQ(a.made.size(), 3U);
  EXPECT_GT(a.made[0].last_modified, far + 2);
  expectStored(a, "one");
}

TEST_F(Additions, keep_their_order_and_are_seen_by_what_follows) {
  Node node(direct());
  std::vector<Addition> all(1);
  // More than go into one statement.
  for (int i = 0; i < 150; ++i) all[0].puts.push_back(fresh("one", "a" + std::to_string(i)));
  all[0].look = true;
  runAll(node, all);
  const auto& a = all[0];
  ASSERT_TRUE(a.verdict.ok()) << a.verdict.error().detail;
  ASSERT_EQ(a.made.size(), 150U);
  EXPECT_EQ(a.seen, 150U);
  for (std::size_t i = 1; i < a.made.size(); ++i) {
    EXPECT_GT(a.made[i].last_modified, a.made[i - 1].last_modified);
  }
  expectStored(a, "one");
  // Single additions of a later unit come after them.
  std::vector<Addition> later(1);
  later[0].puts.push_back(fresh("one", "z"));
  runAll(node, later);
  ASSERT_TRUE(later[0].verdict.ok());
  EXPECT_GT(later[0].made[0].last_modified, a.made.back().last_modified);
}

TEST_F(Additions, to_lists_in_turn_go_to_their_list) {
  Node node(direct());
  std::vector<Addition> all(1);
  for (int i = 0; i < 30; ++i) {
    all[0].puts.push_back(fresh(i % 3 == 0 ? "x" : "y", "a" + std::to_string(i)));
  }
  runAll(node, all);
  ASSERT_TRUE(all[0].verdict.ok()) << all[0].verdict.error().detail;
  Addition x;
  Addition y;
  for (int i = 0; i < 30; ++i) {
    (i % 3 == 0 ? x : y).made.push_back(all[0].made[static_cast<std::size_t>(i)]);
  }
  expectStored(x, "x");
  expectStored(y, "y");
}

TEST_F(Additions, of_units_that_share_a_commit_never_share_a_timestamp) {
  Node node(direct());
  std::vector<Addition> all(60);
  for (int u = 0; u < 60; ++u) {
    for (int i = 0; i < 5; ++i) {
      all[static_cast<std::size_t>(u)].puts.push_back(
          fresh("one", "u" + std::to_string(u) + "-" + std::to_string(i)));
    }
  }
  runAll(node, all);
  for (const auto& a : all) {
    ASSERT_TRUE(a.verdict.ok()) << a.verdict.error().detail;
    expectStored(a, "one");
  }
  EXPECT_EQ(sql("SELECT count(DISTINCT last_modified) FROM objects WHERE resource_name = 'record'"),
            "300");
}

TEST_F(Additions, that_cannot_be_stored_are_refused_and_the_others_kept) {
  Node node(direct());
  std::vector<Addition> all(1);
  for (int i = 0; i < 6; ++i) all[0].puts.push_back(fresh("one", "a" + std::to_string(i)));
  all[0].puts[2].object.data = "{\"of\":\"\\u0000\"}";
  all[0].puts[3].permissions = {{"write", {std::string("a\0b", 3)}}};
  all[0].puts[4].uri.push_back('\0');
  runAll(node, all);
  ASSERT_TRUE(all[0].verdict.ok()) << all[0].verdict.error().detail;
  EXPECT_EQ(all[0].refused, 3U);
  ASSERT_EQ(all[0].made.size(), 3U);
  expectStored(all[0], "one");
  EXPECT_EQ(sql("SELECT count(*) FROM objects WHERE resource_name = 'record'"), "3");
}

TEST_F(Additions, that_the_server_refuses_undo_their_unit_alone) {
  sql("CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id LIKE 'bad%'"
      " THEN RAISE EXCEPTION 'no' USING ERRCODE = 'disk_full'; END IF; RETURN NEW; END $$;"
      "CREATE TRIGGER picky BEFORE INSERT ON objects FOR EACH ROW EXECUTE FUNCTION picky()");
  Node node(direct());
  std::vector<Addition> all(40);
  for (int u = 0; u < 40; ++u) {
    for (int i = 0; i < 4; ++i) {
      std::string id = std::to_string(u) + "-" + std::to_string(i);
      bool bad = u % 5 == 0 && i == 2;
      all[static_cast<std::size_t>(u)].puts.push_back(fresh("one", (bad ? "bad" : "good") + id));
    }
  }
  runAll(node, all);
  for (int u = 0; u < 40; ++u) {
    const auto& a = all[static_cast<std::size_t>(u)];
    EXPECT_EQ(a.verdict.ok(), u % 5 != 0) << u;
    if (a.verdict.ok()) expectStored(a, "one");
  }
  EXPECT_EQ(sql("SELECT count(*) FROM objects WHERE resource_name = 'record'"), "128");
}

TEST_F(Additions, whose_commit_has_no_answer_are_found_out_and_not_repeated) {
  Gate gate(cluster().port());
  for (bool arrives : {true, false}) {
    // A node of its own: the word COMMIT is sent when a connection commits for the first time.
    Node node{store::postgresql::Options(cluster().tcpUrl(gate.port(), db_))};
    std::vector<Addition> all(20);
    for (auto& a : all) {
      for (int i = 0; i < 5; ++i) a.puts.push_back(fresh("one", uuid4()));
    }
    int cuts = gate.cuts();
    gate.cutOn("COMMIT", arrives);
    runAll(node, all);
    EXPECT_EQ(gate.cuts(), cuts + 1);
    for (const auto& a : all) {
      ASSERT_TRUE(a.verdict.ok()) << a.verdict.error().detail;
      expectStored(a, "one");
    }
    auto counters = node.counters();
    EXPECT_GT(counters.in_doubt, 1U);
    EXPECT_EQ(counters.resolved, counters.in_doubt);
  }
  EXPECT_EQ(sql("SELECT count(*) FROM objects WHERE resource_name = 'record'"), "200");
}

}  // namespace
}  // namespace godwit::test
