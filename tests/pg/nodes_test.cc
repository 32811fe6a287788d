// Two nodes on one database, under load, one of them restarted again and again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "base/random.h"
#include "cluster.h"
#include "node.h"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using store::Mode;
using store::Verdict;

constexpr int kCounters = 8;

// Adds one to a counter: what it read must still be true when it writes.
Task<Verdict> increment(store::Session& s, const store::Ref* ref, const std::string* id,
                        store::Timestamp* at) {
  auto got = co_await s.get(*ref, *id);
  long n = 0;
  if (got.ok()) {
    n = std::stol(got->data.substr(5));
  } else if (got.error().code != ErrorCode::kNotFound) {
    co_return Verdict::kRollback;
  }
  store::Object next = makeObject(*id, "{\"n\":" + std::to_string(n + 1) + "}");
  auto put = co_await s.update(*ref, next);
  if (!put.ok()) co_return Verdict::kRollback;
  *at = put->last_modified;
  co_return Verdict::kCommit;
}

class Load {
 public:
  struct Tally {
    long acknowledged = 0;
    long unknown = 0;  // refused, and perhaps done
    std::vector<store::Timestamp> times;
  };

  void start(Node& node, int at_once) {
    running_ += at_once;
    node.loop().post([this, &node, at_once] {
      for (int i = 0; i < at_once; ++i) one(node);
    });
  }
  void stop() { stop_ = true; }
  bool wait() {
    for (int i = 0; i < 6000 && running_ > 0; ++i) std::this_thread::sleep_for(10ms);
    return running_ == 0;
  }
  std::map<std::string, Tally> tallies() {
    std::lock_guard lock(mu_);
    return tallies_;
  }

 private:
  void one(Node& node) {
    if (stop_) {
      --running_;
      return;
    }
    auto id = std::make_shared<std::string>("counter" + std::to_string(randomBelow(kCounters)));
    auto at = std::make_shared<store::Timestamp>(0);
    store::Work work = [this, id, at](store::Session& s) {
      return increment(s, &ref_, id.get(), at.get());
    };
    node.backend().run(Mode::kWrite, node.loop(), Deadline::after(10s), std::move(work),
                       [this, &node, id, at](Result<Verdict> r) {
                         {
                           std::lock_guard lock(mu_);
                           auto& t = tallies_[*id];
                           if (r.ok() && *r == Verdict::kCommit) {
                             ++t.acknowledged;
                             t.times.push_back(*at);
                           } else {
                             ++t.unknown;
                           }
                         }
                         one(node);
                       });
  }

  store::Ref ref_ = records("counters");
  std::mutex mu_;
  std::map<std::string, Tally> tallies_;
  std::atomic<int> running_{0};
  std::atomic<bool> stop_{false};
};

TEST(TwoNodes, lose_nothing_and_keep_timestamps_while_one_restarts_and_sessions_are_killed) {
  if (!Cluster::whyNot().empty()) GTEST_SKIP() << Cluster::whyNot();
  auto& cluster = Cluster::shared();
  auto db = cluster.freshDatabase();
  store::postgresql::Options options(cluster.url(db));
  std::map<std::string, Load::Tally> all;
  auto add = [&](Load& load) {
    for (auto& [id, t] : load.tallies()) {
      auto& sum = all[id];
      sum.acknowledged += t.acknowledged;
      sum.unknown += t.unknown;
      sum.times.insert(sum.times.end(), t.times.begin(), t.times.end());
    }
  };
  {
    Node steady(options);
    Load load;
    load.start(steady, 8);
    for (int round = 0; round < 3; ++round) {
      // The other node comes, works, loses half of all sessions, and goes.
      Node passing(options);
      Load brief;
      brief.start(passing, 8);
      std::this_thread::sleep_for(500ms);
      cluster.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + db +
                       "' AND pid <> pg_backend_pid() AND random() < 0.5",
                   "postgres");
      std::this_thread::sleep_for(500ms);
      brief.stop();
      ASSERT_TRUE(brief.wait());
      add(brief);
    }
    cluster.restart();
    std::this_thread::sleep_for(500ms);
    load.stop();
    ASSERT_TRUE(load.wait());
    add(load);
    auto c = steady.counters();
    std::printf("  retried %lu, in doubt %lu, resolved %lu\n",
                static_cast<unsigned long>(c.retried), static_cast<unsigned long>(c.in_doubt),
                static_cast<unsigned long>(c.resolved));
  }
  std::set<store::Timestamp> distinct;
  std::size_t times = 0;
  long total = 0;
  for (auto& [id, t] : all) {
    long n = std::stol(cluster.exec("SELECT data->>'n' FROM objects WHERE id = '" + id + "'", db));
    // Every acknowledged increment is there, and none is there twice.
    EXPECT_GE(n, t.acknowledged) << id;
    EXPECT_LE(n, t.acknowledged + t.unknown) << id;
    distinct.insert(t.times.begin(), t.times.end());
    times += t.times.size();
    total += t.acknowledged;
  }
  EXPECT_EQ(distinct.size(), times);
  EXPECT_GT(total, 100);
  std::printf("  %ld increments acknowledged\n", total);
}

// Whoever reads a list and then asks for what is newer must not miss anything: timestamps become
// visible in their order.
TEST(TwoNodes, show_timestamps_in_order) {
  if (!Cluster::whyNot().empty()) GTEST_SKIP() << Cluster::whyNot();
  auto& cluster = Cluster::shared();
  auto db = cluster.freshDatabase();
  store::postgresql::Options options(cluster.url(db));
  Node a(options);
  Node b(options);
  std::atomic<int> left{2};
  std::thread writers[2];
  for (int w = 0; w < 2; ++w) {
    writers[w] = std::thread([&, w] {
      for (int i = 0; i < 300; ++i) {
        auto r = (w == 0 ? a : b).run(Mode::kWrite, creating(records("seen"), uuid4(), "{}"));
        EXPECT_TRUE(r.ok());
      }
      --left;
    });
  }
  long before = 0;
  long count = 0;
  while (left > 0) {
    // All up to the newest seen last time must have been there then.
    auto now = cluster.exec(
        "SELECT COALESCE(max(as_epoch(last_modified)), 0) || ' ' || count(*) FILTER (WHERE"
        " as_epoch(last_modified) <= " +
            std::to_string(before) +
            ") || ' ' || count(*)"
            " FROM objects WHERE resource_name = 'record'",
        db);
    std::istringstream in(now);
    long newest = 0;
    long known = 0;
    long total = 0;
    in >> newest >> known >> total;
    EXPECT_EQ(known, count);
    before = newest;
    count = total;
  }
  for (auto& t : writers) t.join();
}

// Units that wait for one list commit together, and each fails alone.
TEST(SharedCommits, undo_only_their_own) {
  if (!Cluster::whyNot().empty()) GTEST_SKIP() << Cluster::whyNot();
  auto& cluster = Cluster::shared();
  auto db = cluster.freshDatabase();
  // One create in five meets an error of the server's.
  cluster.exec(
      "CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id LIKE 'bad%'"
      " THEN RAISE EXCEPTION 'no' USING ERRCODE = 'disk_full'; END IF; RETURN NEW; END $$;"
      "CREATE TRIGGER picky BEFORE INSERT ON objects FOR EACH ROW EXECUTE FUNCTION picky()",
      db);
  Node node{store::postgresql::Options(cluster.url(db))};
  ASSERT_TRUE(node.run(Mode::kWrite, creating(records("ride"), "first", "{}")).ok());
  struct Body {
    static Task<Verdict> run(store::Session& s, int i) {
      store::Ref ref = records("ride");
      std::string id = (i % 5 == 0 ? "bad" : i % 5 == 1 ? "undone" : "good") + std::to_string(i);
      store::Object object = makeObject(id);
      auto made = co_await s.create(ref, object);
      if (!made.ok()) co_return Verdict::kRollback;
      store::Ace ace{"/r/" + id, "read", "p"};
      auto granted = co_await s.addAce(ace);
      co_return granted.ok() && i % 5 != 1 ? Verdict::kCommit : Verdict::kRollback;
    }
  };
  constexpr int kUnits = 200;
  std::atomic<int> committed{0};
  std::atomic<int> undone{0};
  std::atomic<int> failed{0};
  std::atomic<int> left{kUnits};
  std::promise<void> all;
  node.loop().post([&] {
    for (int i = 0; i < kUnits; ++i) {
      node.backend().run(
          Mode::kWrite, node.loop(), Deadline::after(60s),
          [i](store::Session& s) { return Body::run(s, i); },
          [&](Result<Verdict> r) {
            ++(!r.ok() ? failed : *r == Verdict::kCommit ? committed : undone);
            if (--left == 0) all.set_value();
          });
    }
  });
  ASSERT_EQ(all.get_future().wait_for(60s), std::future_status::ready);
  EXPECT_EQ(committed, kUnits * 3 / 5);
  EXPECT_EQ(undone, kUnits / 5);
  EXPECT_EQ(failed, kUnits / 5);
  EXPECT_EQ(cluster.exec("SELECT count(*) FROM objects WHERE id LIKE 'good%'", db),
            std::to_string(kUnits * 3 / 5));
  EXPECT_EQ(
      cluster.exec("SELECT count(*) FROM objects WHERE id LIKE 'bad%' OR id LIKE 'undone%'", db),
      "0");
  EXPECT_EQ(cluster.exec("SELECT count(*) FROM access_control_entries WHERE principal = 'p'", db),
            std::to_string(kUnits * 3 / 5));
}

}  // namespace
}  // namespace godwit::test
