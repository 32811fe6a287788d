// Single writes of one loop to several lists: committed together, refused and held up alone.
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <atomic>
#include <future>

#include "database_test.h"
#include "node.h"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using store::Mode;
using store::Verdict;

struct Single {
  store::Put put;
  Result<Verdict> verdict = Error(ErrorCode::kInternal, "not run");
  std::promise<void> done;
};

Task<Verdict> putting(store::Session& s, Single* one) {
  store::Put copy = one->put;
  auto made = co_await s.put(std::move(copy));
  co_return made.ok() ? Verdict::kCommit : Verdict::kRollback;
}

std::vector<std::unique_ptr<Single>> singles(int n, int lists) {
  std::vector<std::unique_ptr<Single>> all;
  for (int i = 0; i < n; ++i) {
    auto& one = all.emplace_back(std::make_unique<Single>());
    one->put.ref = records("list" + std::to_string(i % lists));
    one->put.object = makeObject("r" + std::to_string(i));
    one->put.create = true;
    one->put.fresh = true;
    one->put.last = true;
    one->put.uri = one->put.ref.parent + "/records/" + one->put.object.id;
    one->put.permissions = {{"write", {"account:a"}}};
  }
  return all;
}

// Starts all within one turn of the loop.
void startAll(Node& node, std::vector<std::unique_ptr<Single>>& all) {
  node.loop().post([&] {
    for (auto& single : all) {
      auto* one = single.get();
      node.backend().run(
          Mode::kWrite, node.loop(), Deadline::after(30s),
          [one](store::Session& s) { return putting(s, one); },
          [one](Result<Verdict> v) {
            one->verdict = std::move(v);
            one->done.set_value();
          });
    }
  });
}

class Convoys : public DatabaseTest {};

TEST_F(Convoys, to_many_lists_are_few_transactions) {
  Node node(direct());
  auto all = singles(64, 32);
  startAll(node, all);
  for (auto& one : all) {
    ASSERT_EQ(one->done.get_future().wait_for(30s), std::future_status::ready);
    ASSERT_TRUE(one->verdict.ok()) << one->verdict.error().detail;
  }
  EXPECT_EQ(sql("SELECT count(DISTINCT (parent_id, last_modified)) FROM objects"
                " WHERE resource_name = 'record'"),
            "64");
  EXPECT_EQ(sql("SELECT count(*) FROM access_control_entries WHERE principal = 'account:a'"), "64");
  EXPECT_EQ(sql("SELECT count(DISTINCT xmin::text) FROM objects WHERE resource_name = 'record'"),
            "2");
}

TEST_F(Convoys, wait_for_no_list_that_another_node_holds) {
  Node node(direct());
  std::unique_ptr<PGconn, decltype(&PQfinish)> other(PQconnectdb(cluster().url(db_).c_str()),
                                                     &PQfinish);
  auto say = [&](const char* text) {
    PQclear(PQexec(other.get(), text));
    ASSERT_STREQ(PQerrorMessage(other.get()), "");
  };
  say("BEGIN");
  say("SELECT pg_advisory_xact_lock(hashtext('/buckets/b/collections/list0'), hashtext('record'))");
  auto all = singles(16, 8);
  startAll(node, all);
  std::vector<std::future<void>> answers;
  for (auto& one : all) answers.push_back(one->done.get_future());
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i % 8 == 0) continue;
    ASSERT_EQ(answers[i].wait_for(20s), std::future_status::ready) << i;
    EXPECT_TRUE(all[i]->verdict.ok()) << all[i]->verdict.error().detail;
  }
  EXPECT_EQ(sql("SELECT count(*) FROM objects WHERE resource_name = 'record'"), "14");
  say("COMMIT");
  for (std::size_t i = 0; i < all.size(); i += 8) {
    ASSERT_EQ(answers[i].wait_for(20s), std::future_status::ready) << i;
    EXPECT_TRUE(all[i]->verdict.ok()) << all[i]->verdict.error().detail;
  }
  EXPECT_EQ(sql("SELECT count(*) FROM objects WHERE resource_name = 'record'"), "16");
}

TEST_F(Convoys, lose_only_what_the_server_refuses) {
  sql("CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 'r5'"
      " THEN RAISE EXCEPTION 'no' USING ERRCODE = 'disk_full'; END IF; RETURN NEW; END $$;"
      "CREATE TRIGGER picky BEFORE INSERT ON objects FOR EACH ROW EXECUTE FUNCTION picky()");
  Node node(direct());
  auto all = singles(20, 4);
  startAll(node, all);
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all[i]->done.get_future().wait_for(30s), std::future_status::ready) << i;
    EXPECT_EQ(all[i]->verdict.ok(), i != 5) << i;
  }
  EXPECT_EQ(sql("SELECT count(*) FROM objects WHERE resource_name = 'record'"), "19");
}

}  // namespace
}  // namespace godwit::test
