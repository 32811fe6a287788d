#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include <map>
#include <random>
#include <set>

#include "base/random.h"
#include "base/unique_fd.h"
#include "store/conformance.h"
#include "store/sqlite/scratch.h"
#include "store/sqlite/sqlite.h"

// Real processes on one file: killed in the middle of writing, and writing side by side. A child is
// this test program again, running DISABLED_Child; it tells each acknowledged write on a pipe.
namespace godwit::store {
namespace {

const Ref kRecords{"record", "/buckets/b/collections/c"};
constexpr int kPipe = 9;

// "id timestamp\n" per acknowledged write.
void writeUntil(const std::string& path, int limit) {
  SqliteOptions options(path);
  options.wal_limit_bytes = 256 << 10;  // many checkpoints
  auto stores = openSqlite(options);
  if (!stores.ok()) {
    std::fprintf(stderr, "child: %s\n", stores.error().message.c_str());
    std::_Exit(3);
  }
  struct Loop {
    explicit Loop(std::size_t i) : reactor(i) {}
    TestReactor reactor;
  };
  std::atomic<int> started = 0;
  std::atomic<int> active = 0;
  std::promise<void> finished;
  std::vector<std::unique_ptr<Loop>> loops;
  std::function<void(Loop&)> next = [&](Loop& loop) {
    if (started.fetch_add(1) >= limit) {
      if (--active == 0) finished.set_value();
      return;
    }
    auto made = std::make_shared<Object>();
    made->id = uuid4();
    Work work = [made](Session& s) -> Task<Verdict> {
      Object o = Client::object(made->id, R"({"s":")" + std::string(300, 'x') + R"("})");
      auto task = s.create(kRecords, std::move(o));
      auto r = co_await task;
      if (!r.ok()) co_return Verdict::kRollback;
      made->last_modified = r->last_modified;
      Ace ace{kRecords.parent + "/records/" + made->id, "write", "somebody"};
      auto adding = s.addAce(ace);
      auto a = co_await adding;
      co_return a.ok() ? Verdict::kCommit : Verdict::kRollback;
    };
    stores->backend->run(
        Mode::kWrite, loop.reactor, Deadline::after(kTestWait), std::move(work),
        [&, made](Result<Verdict> r) {
          if (!r.ok() || *r != Verdict::kCommit) {
            std::fprintf(stderr, "child: a write was refused: %s\n",
                         r.ok() ? "rolled back" : r.error().message.c_str());
            std::_Exit(4);
          }
          std::string line = made->id + " " + std::to_string(made->last_modified) + "\n";
          if (::write(kPipe, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
            std::_Exit(5);
          }
          next(loop);
        });
  };
  for (std::size_t i = 0; i < 2; ++i) loops.push_back(std::make_unique<Loop>(i));
  active = 32;
  for (auto& loop : loops) {
    loop->reactor.post([&next, l = loop.get()] {
      for (int i = 0; i < 16; ++i) next(*l);
    });
  }
  finished.get_future().wait();
  stores->backend->stop(Deadline::after(kTestWait));
}

class Child {
 public:
  Child(const std::string& path, int limit) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    out_.reset(ends[0]);
    UniqueFd write_end(ends[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, write_end.get(), kPipe);
    std::string file = "GODWIT_TEST_FILE=" + path;
    std::string count = "GODWIT_TEST_LIMIT=" + std::to_string(limit);
    std::vector<char*> env;
    for (char** e = environ; *e; ++e) env.push_back(*e);
    for (std::string* s : {&file, &count}) env.push_back(s->data());
    env.push_back(nullptr);
    std::vector<std::string> args{"/proc/self/exe", "--gtest_filter=SqliteCrash.DISABLED_Child",
                                  "--gtest_also_run_disabled_tests", "--gtest_brief=1"};
    std::vector<char*> argv;
    for (std::string& a : args) argv.push_back(a.data());
    argv.push_back(nullptr);
    EXPECT_EQ(::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), env.data()), 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) {
      kill();
      wait();
    }
  }

  // Reads until `lines` were acknowledged or the child closed its pipe.
  void read(std::size_t lines) {
    char buffer[4096];
    while (acknowledged_.size() < lines) {
      ssize_t n = ::read(out_.get(), buffer, sizeof buffer);
      if (n <= 0) return;
      partial_.append(buffer, static_cast<std::size_t>(n));
      std::size_t end = 0;
      while ((end = partial_.find('\n')) != std::string::npos) {
        std::string line = partial_.substr(0, end);
        partial_.erase(0, end + 1);
        std::size_t space = line.find(' ');
        acknowledged_[line.substr(0, space)] = std::stoll(line.substr(space + 1));
      }
    }
  }
  void kill() { ::kill(pid_, SIGKILL); }
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }
  [[nodiscard]] const std::map<std::string, Timestamp>& acknowledged() const {
    return acknowledged_;
  }

 private:
  pid_t pid_ = -1;
  UniqueFd out_;
  std::string partial_;
  std::map<std::string, Timestamp> acknowledged_;
};

std::string integrity(const std::string& path) {
  sqlite3* db = nullptr;
  std::string out = "cannot open";
  if (sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr) == SQLITE_OK) {
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    sqlite3_stmt* s = nullptr;
    sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &s, nullptr);
    if (sqlite3_step(s) == SQLITE_ROW) {
      out = reinterpret_cast<const char*>(sqlite3_column_text(s, 0));
    }
    sqlite3_finalize(s);
  }
  sqlite3_close(db);
  return out;
}

// Everything acknowledged is there, once, with its entry, and the counters agree.
void verify(const std::string& path, const std::map<std::string, Timestamp>& acknowledged) {
  auto stores = openSqlite(SqliteOptions(path));
  ASSERT_TRUE(stores.ok()) << stores.error().message;
  TestReactor home;
  Client c(*stores->backend, home);
  auto all = c.list(kRecords);
  ASSERT_TRUE(all.ok()) << all.error().detail;
  EXPECT_EQ(c.count(kRecords), all->size());
  std::map<std::string, Timestamp> found;
  std::set<Timestamp> times;
  for (const Object& o : *all) {
    found[o.id] = o.last_modified;
    times.insert(o.last_modified);
  }
  EXPECT_EQ(times.size(), all->size());
  std::vector<std::string> uris;
  for (const auto& [id, time] : acknowledged) {
    auto it = found.find(id);
    ASSERT_TRUE(it != found.end()) << id << " was acknowledged and is lost";
    EXPECT_EQ(it->second, time);
    uris.push_back(kRecords.parent + "/records/" + id);
  }
  auto aces = c.read([&](Session& s) { return s.aces(uris); });
  ASSERT_TRUE(aces.ok());
  EXPECT_EQ(aces->size(), acknowledged.size());
  stores->backend->stop(Deadline::after(kTestWait));
  home.run([] {});
  EXPECT_EQ(integrity(path), "ok");
}

TEST(SqliteCrash, DISABLED_Child) {
  const char* file = std::getenv("GODWIT_TEST_FILE");
  const char* limit = std::getenv("GODWIT_TEST_LIMIT");
  if (!file || !limit) GTEST_SKIP() << "started by the other tests only";
  writeUntil(file, std::atoi(limit));
}

TEST(SqliteCrash, KillLosesNothingAcknowledged) {
  Scratch scratch;
  std::string path = scratch.file("godwit.db");
  std::mt19937 random(7);
  std::map<std::string, Timestamp> acknowledged;
  for (int round = 0; round < 20; ++round) {
    Child child(path, 1'000'000);
    child.read(20 + random() % 400);
    child.kill();
    child.read(1'000'000);  // what was told before it died
    EXPECT_TRUE(WIFSIGNALED(child.wait()));
    EXPECT_FALSE(child.acknowledged().empty());
    acknowledged.insert(child.acknowledged().begin(), child.acknowledged().end());
    verify(path, acknowledged);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(SqliteCrash, GenerationsOverlapOnOneFile) {
  // Each generation starts while the one before writes; the old one ends, or is killed.
  Scratch scratch;
  std::string path = scratch.file("godwit.db");
  std::map<std::string, Timestamp> acknowledged;
  auto old = std::make_unique<Child>(path, 3000);
  old->read(50);
  for (int generation = 0; generation < 6; ++generation) {
    auto young = std::make_unique<Child>(path, 3000);
    young->read(50);  // both write now; neither starves
    old->read(1000);
    bool killed = generation % 3 == 2;
    if (killed) old->kill();
    old->read(1'000'000);
    int status = old->wait();
    if (!killed) {
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
      EXPECT_EQ(old->acknowledged().size(), 3000U);
    }
    acknowledged.insert(old->acknowledged().begin(), old->acknowledged().end());
    old = std::move(young);
  }
  old->read(1'000'000);
  old->wait();
  acknowledged.insert(old->acknowledged().begin(), old->acknowledged().end());
  verify(path, acknowledged);
}

}  // namespace
}  // namespace godwit::store
