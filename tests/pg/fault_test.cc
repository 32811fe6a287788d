// What happens when PostgreSQL does not do its part. Every test ends with the node serving again
// without help.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <libpq-fe.h>
#include <signal.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <sstream>

#include "base/random.h"
#include "database_test.h"
#include "gate.h"
#include "node.h"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using store::Mode;
using store::Verdict;
using Clock = std::chrono::steady_clock;

constexpr auto kPatience = 3s;  // deadline of a request that meets a fault

class Faults : public DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    if (IsSkipped()) return;
    gate_ = std::make_unique<Gate>(cluster().port());
  }
  store::postgresql::Options gated() {
    return store::postgresql::Options(cluster().tcpUrl(gate_->port(), db_));
  }

  static Result<Verdict> write(Node& node, const std::string& id,
                               Clock::duration patience = kPatience) {
    return node.run(Mode::kWrite, creating(records("c"), id, "{\"n\":1}"),
                    Deadline::after(patience));
  }
  static Result<Verdict> read(Node& node, const std::string& id,
                              Clock::duration patience = kPatience) {
    return node.run(Mode::kPoint, reading(records("c"), id, nullptr), Deadline::after(patience));
  }
  static Result<Verdict> scan(Node& node, Clock::duration patience = kPatience) {
    struct Body {
      static Task<Verdict> run(store::Session& s) {
        store::Ref ref = records("c");
        store::Query q;
        auto got = co_await s.list(ref, q);
        co_return got.ok() ? Verdict::kCommit : Verdict::kRollback;
      }
    };
    return node.run(Mode::kScan, &Body::run, Deadline::after(patience));
  }

  // A fault is told as such, in time.
  static void expectRefused(const Result<Verdict>& r, Clock::time_point since,
                            Clock::duration patience = kPatience) {
    ASSERT_FALSE(r.ok());
    EXPECT_THAT(r.error().code, testing::AnyOf(ErrorCode::kUnavailable, ErrorCode::kTimeout))
        << r.error().message << " " << r.error().detail;
    EXPECT_FALSE(r.error().message.empty());
    EXPECT_LT(Clock::now() - since, patience + 5s);  // generous: the machine may be slow
  }

  // Serves again, by itself and soon.
  static void expectRecovery(Node& node) {
    auto start = Clock::now();
    Result<Verdict> r = Error(ErrorCode::kUnavailable, "not tried");
    while (Clock::now() - start < 20s) {
      r = write(node, "again-" + uuid4(), 2s);
      if (r.ok()) break;
      std::this_thread::sleep_for(10ms);
    }
    EXPECT_TRUE(r.ok()) << r.error().message << " " << r.error().detail;
    EXPECT_TRUE(read(node, "before").ok());
    EXPECT_TRUE(scan(node).ok());
    EXPECT_TRUE(node.ping(true, Deadline::after(kPatience)));
    auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
    RecordProperty("recovery_ms", static_cast<int>(took.count()));
    std::printf("  serves again after %ld ms\n", static_cast<long>(took.count()));
  }

  std::unique_ptr<Gate> gate_;
};

TEST_F(Faults, restart_is_ridden_through) {
  Node node(direct());
  ASSERT_TRUE(write(node, "before").ok());
  cluster().restart();
  // The first request after it meets only dead connections and still succeeds.
  auto r = write(node, "after");
  EXPECT_TRUE(r.ok()) << r.error().message << " " << r.error().detail;
  EXPECT_TRUE(read(node, "after").ok());
  expectRecovery(node);
}

TEST_F(Faults, killed_server_is_told_and_comes_back) {
  Node node(direct());
  ASSERT_TRUE(write(node, "before").ok());
  cluster().kill();
  auto since = Clock::now();
  expectRefused(write(node, "x"), since);
  since = Clock::now();
  expectRefused(read(node, "before"), since);
  EXPECT_FALSE(node.ping(true, Deadline::after(kPatience)));
  // Known to be away: refused at once.
  since = Clock::now();
  expectRefused(read(node, "before"), since, 0s);
  cluster().start();
  expectRecovery(node);
}

TEST_F(Faults, paused_server_costs_no_more_than_the_deadline) {
  Node node(direct());
  ASSERT_TRUE(write(node, "before").ok());
  cluster().pause();
  auto since = Clock::now();
  expectRefused(write(node, "x", 1s), since, 1s);
  since = Clock::now();
  expectRefused(read(node, "before", 1s), since, 1s);
  since = Clock::now();
  expectRefused(scan(node, 1s), since, 1s);
  EXPECT_FALSE(node.ping(false, Deadline::after(1s)));
  cluster().resume();
  expectRecovery(node);
}

TEST_F(Faults, out_of_connections_is_told_and_heals) {
  Node node(direct());
  ASSERT_TRUE(write(node, "before").ok());
  // A second program takes every slot there is.
  std::vector<PGconn*> hogs;
  for (int i = 0; i < 200; ++i) {
    PGconn* c = PQconnectdb(cluster().url(db_).c_str());
    hogs.push_back(c);
    if (PQstatus(c) != CONNECTION_OK) break;
  }
  Node late(direct());
  auto since = Clock::now();
  auto refused = write(late, "x");
  expectRefused(refused, since);
  EXPECT_TRUE(read(node, "before").ok());  // who has a connection goes on
  for (auto* c : hogs) PQfinish(c);
  expectRecovery(late);
}

TEST_F(Faults, read_only_server_is_told_and_heals) {
  Node node(direct());
  ASSERT_TRUE(write(node, "before").ok());
  cluster().exec("ALTER DATABASE " + db_ + " SET default_transaction_read_only = on", "postgres");
  cluster().exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + db_ +
                     "' AND pid <> pg_backend_pid()",
                 "postgres");
  auto since = Clock::now();
  auto r = write(node, "x");
  expectRefused(r, since);
  EXPECT_THAT(r.error().message, testing::HasSubstr("read-only"));
  EXPECT_TRUE(read(node, "before").ok());
  EXPECT_FALSE(node.ping(true, Deadline::after(kPatience)));
  EXPECT_TRUE(node.ping(false, Deadline::after(kPatience)));
  cluster().exec("ALTER DATABASE " + db_ + " RESET default_transaction_read_only", "postgres");
  cluster().exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + db_ +
                     "' AND pid <> pg_backend_pid()",
                 "postgres");
  expectRecovery(node);
}

TEST_F(Faults, disk_full_is_told_and_heals) {
  // A trigger answers as the server does when it cannot extend a file.
  Node node(direct());
  ASSERT_TRUE(write(node, "before").ok());
  cluster().exec(
      "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION"
      " 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;"
      "CREATE TRIGGER full_disk BEFORE INSERT ON objects FOR EACH ROW EXECUTE FUNCTION full_disk()",
      db_);
  auto since = Clock::now();
  auto r = write(node, "x");
  expectRefused(r, since);
  EXPECT_THAT(r.error().message, testing::HasSubstr("disk is full"));
  EXPECT_TRUE(read(node, "before").ok());
  cluster().exec("DROP TRIGGER full_disk ON objects", db_);
  expectRecovery(node);
}

TEST_F(Faults, network_cut_is_told_and_comes_back) {
  Node node(gated());
  ASSERT_TRUE(write(node, "before").ok());
  gate_->set(Gate::Mode::kRefuse);
  auto since = Clock::now();
  expectRefused(write(node, "x"), since);
  since = Clock::now();
  expectRefused(read(node, "before"), since);
  gate_->set(Gate::Mode::kOpen);
  expectRecovery(node);
}

TEST_F(Faults, network_stalled_costs_no_more_than_the_deadline) {
  Node node(gated());
  ASSERT_TRUE(write(node, "before").ok());
  gate_->set(Gate::Mode::kStall);
  auto since = Clock::now();
  expectRefused(read(node, "before", 1s), since, 1s);
  since = Clock::now();
  expectRefused(write(node, "x", 1s), since, 1s);
  gate_->set(Gate::Mode::kOpen);
  expectRecovery(node);
}

TEST_F(Faults, network_delayed_only_slows) {
  Node node(gated());
  gate_->delayMs(20);
  EXPECT_TRUE(write(node, "before", 20s).ok());
  EXPECT_TRUE(read(node, "before", 20s).ok());
  gate_->delayMs(0);
  expectRecovery(node);
}

TEST_F(Faults, connections_reset_between_requests_are_not_noticed) {
  Node node(gated());
  ASSERT_TRUE(write(node, "before").ok());
  for (int i = 0; i < 20; ++i) {
    gate_->reset();
    auto r = write(node, "r" + std::to_string(i), 10s);
    EXPECT_TRUE(r.ok()) << r.error().message << " " << r.error().detail;
    r = read(node, "before", 10s);
    EXPECT_TRUE(r.ok()) << r.error().message << " " << r.error().detail;
  }
  expectRecovery(node);
}

// "COMMIT" travels as the name of a prepared statement from its second use on; its text is what
// goes over the wire at the first.
class Commits : public Faults {
 protected:
  static void findCommit(Gate& gate, bool pass) { gate.cutOn("COMMIT", pass); }
};

TEST_F(Commits, commit_whose_answer_is_lost_is_found_out_and_not_repeated) {
  Node node(gated());
  ASSERT_TRUE(scan(node).ok());
  findCommit(*gate_, true);
  store::Timestamp at = 0;
  auto r =
      node.run(Mode::kWrite, creating(records("c"), "before", "{}", &at), Deadline::after(10s));
  EXPECT_EQ(gate_->cuts(), 1);
  EXPECT_TRUE(r.ok()) << r.error().message << " " << r.error().detail;
  auto counters = node.counters();
  EXPECT_EQ(counters.in_doubt, 1U);
  EXPECT_EQ(counters.resolved, 1U);
  EXPECT_EQ(counters.retried, 0U);
  EXPECT_EQ(cluster().exec("SELECT as_epoch(last_modified) FROM objects WHERE id = 'before'", db_),
            std::to_string(at));
  expectRecovery(node);
}

TEST_F(Commits, commit_that_never_arrived_is_made_again_once) {
  Node node(gated());
  ASSERT_TRUE(scan(node).ok());
  findCommit(*gate_, false);
  auto r = write(node, "before", 10s);
  EXPECT_EQ(gate_->cuts(), 1);
  EXPECT_TRUE(r.ok()) << r.error().message << " " << r.error().detail;
  auto counters = node.counters();
  EXPECT_EQ(counters.in_doubt, 1U);
  EXPECT_EQ(counters.resolved, 1U);
  EXPECT_EQ(counters.retried, 1U);
  EXPECT_EQ(cluster().exec("SELECT count(*) FROM objects WHERE id = 'before'", db_), "1");
  expectRecovery(node);
}

TEST_F(Faults, nothing_acknowledged_is_lost_and_nothing_is_applied_twice_while_killed_under_load) {
  Node node(direct());
  ASSERT_TRUE(write(node, "before").ok());
  constexpr int kAtOnce = 16;
  struct State {
    std::mutex mu;
    std::vector<std::string> acknowledged;
    long refused = 0;
    std::atomic<bool> stop{false};
    std::atomic<int> running{kAtOnce};
    std::promise<void> ended;
    int next = 0;
  };
  State state;
  // Every unit increments a counter record of its own and must find what it left there.
  std::function<void()> one = [&] {
    if (state.stop) {
      if (--state.running == 0) state.ended.set_value();
      return;
    }
    std::string id = "n" + std::to_string(state.next++);
    node.backend().run(Mode::kWrite, node.loop(), Deadline::after(5s),
                       creating(records("load"), id, "{}"), [&, id](Result<Verdict> r) {
                         {
                           std::lock_guard lock(state.mu);
                           if (r.ok() && *r == Verdict::kCommit) {
                             state.acknowledged.push_back(id);
                           } else {
                             ++state.refused;
                           }
                         }
                         one();
                       });
  };
  node.loop().post([&] {
    for (int i = 0; i < kAtOnce; ++i) one();
  });
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(700ms);
    // One backend dies: the whole server starts over, and unwritten transactions are gone.
    auto pid = cluster().exec(
        "SELECT pid FROM pg_stat_activity WHERE datname = '" + db_ + "' LIMIT 1", "postgres");
    if (!pid.empty()) ::kill(std::stoi(pid), SIGKILL);
    std::this_thread::sleep_for(300ms);
    cluster().restart();
  }
  std::this_thread::sleep_for(700ms);
  state.stop = true;
  ASSERT_EQ(state.ended.get_future().wait_for(60s), std::future_status::ready);
  std::istringstream ids(
      cluster().exec("SELECT string_agg(id, ' ') FROM objects"
                     " WHERE parent_id = '/buckets/b/collections/load'",
                     db_));
  std::set<std::string> stored{std::istream_iterator<std::string>(ids), {}};
  auto missing = std::count_if(state.acknowledged.begin(), state.acknowledged.end(),
                               [&](const auto& id) { return !stored.contains(id); });
  EXPECT_EQ(missing, 0);
  EXPECT_GT(state.acknowledged.size(), 100U);
  std::printf("  acknowledged %zu, refused %ld\n", state.acknowledged.size(), state.refused);
  EXPECT_EQ(cluster().exec("SELECT count(*) - count(DISTINCT last_modified) FROM objects"
                           " WHERE parent_id = '/buckets/b/collections/load'",
                           db_),
            "0");
  expectRecovery(node);
}

}  // namespace
}  // namespace godwit::test
