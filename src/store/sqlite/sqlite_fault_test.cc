#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>

#include "store/conformance.h"
#include "store/sqlite/scratch.h"
#include "store/sqlite/sql.h"
#include "store/sqlite/sqlite.h"

// What happens when the file, the disk or another process does not play along.
namespace godwit::store {
namespace {

const Ref kRecords{"record", "/buckets/b/collections/c"};

void sql(const std::string& path, const char* text) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, text, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
  sqlite3_close(db);
}

class SqliteFault : public testing::Test {
 protected:
  void TearDown() override {
    if (stores_.backend) stores_.backend->stop(Deadline::after(kTestWait));
    home_.run([] {});
    stores_ = {};
  }
  void open(const std::string& name = "godwit.db") {
    SqliteOptions options(scratch_.file(name));
    options.open_wait = std::chrono::milliseconds(200);
    auto stores = openSqlite(options);
    ASSERT_TRUE(stores.ok()) << stores.error().message;
    stores_ = std::move(*stores);
  }
  Result<SqliteStores> tryOpen(const std::string& path) {
    SqliteOptions options(path);
    options.open_wait = std::chrono::milliseconds(200);
    return openSqlite(options);
  }
  Client client() { return Client(*stores_.backend, home_); }
  Work creating(std::string id) {
    return [id = std::move(id)](Session& s) -> Task<Verdict> {
      Object o = Client::object(id, R"({"s":")" + std::string(2000, 'x') + R"("})");
      auto task = s.create(kRecords, std::move(o));
      auto r = co_await task;
      co_return r.ok() ? Verdict::kCommit : Verdict::kRollback;
    };
  }

  Scratch scratch_;
  TestReactor home_;
  SqliteStores stores_;
};

TEST_F(SqliteFault, FolderThatIsMissing) {
  auto r = tryOpen(scratch_.file("none/godwit.db"));
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, ErrorCode::kOs);
  EXPECT_NE(r.error().message.find("none/godwit.db"), std::string::npos);
}

TEST_F(SqliteFault, FileThatIsNoDatabase) {
  std::string path = scratch_.file("text.db");
  std::ofstream(path) << std::string(8192, 'x');
  auto r = tryOpen(path);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, ErrorCode::kInvalid) << r.error().message;
  EXPECT_NE(r.error().message.find("not a database"), std::string::npos) << r.error().message;
}

TEST_F(SqliteFault, DatabaseOfAnotherProgram) {
  std::string path = scratch_.file("other.db");
  sql(path, "CREATE TABLE t (x); INSERT INTO t VALUES (1);");
  auto r = tryOpen(path);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, ErrorCode::kInvalid);
  sql(path, "UPDATE t SET x = 2");  // untouched and usable
}

TEST_F(SqliteFault, NewerSchemaIsRefused) {
  open();
  stores_.backend->stop(Deadline::after(kTestWait));
  stores_ = {};
  std::string path = scratch_.file("godwit.db");
  sql(path, "UPDATE meta SET value = 99 WHERE name = 'schema'");
  auto r = tryOpen(path);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(r.error().message.find("99"), std::string::npos) << r.error().message;
}

TEST_F(SqliteFault, FileIsPrivate) {
  open();
  ASSERT_TRUE(client().create(kRecords, "a").ok());
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
    struct stat s = {};
    ASSERT_EQ(::stat((scratch_.file("godwit.db") + suffix).c_str(), &s), 0) << suffix;
    EXPECT_EQ(s.st_mode & 0777, 0600U) << suffix;
  }
}

TEST_F(SqliteFault, StopLeavesOneFileWithEverything) {
  open();
  ASSERT_TRUE(client().create(kRecords, "a").ok());
  stores_.backend->stop(Deadline::after(kTestWait));
  struct stat s = {};
  ASSERT_EQ(::stat(scratch_.file("godwit.db-wal").c_str(), &s), 0);
  EXPECT_EQ(s.st_size, 0);
  stores_ = {};
  std::filesystem::copy_file(scratch_.file("godwit.db"), scratch_.file("copy.db"));
  open("copy.db");
  EXPECT_TRUE(client().get(kRecords, "a").ok());
}

TEST_F(SqliteFault, DamagedPagesAreAnErrorAndNoCrash) {
  open();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(client().run(Mode::kWrite, creating("r" + std::to_string(i))).ok());
  }
  stores_.backend->stop(Deadline::after(kTestWait));
  stores_ = {};
  {
    std::fstream f(scratch_.file("godwit.db"), std::ios::in | std::ios::out | std::ios::binary);
    f.seekg(0, std::ios::end);
    auto size = f.tellg();
    for (std::streamoff at = 16 * 4096; at + 4096 <= size; at += 4096) {
      f.seekp(at);
      f << std::string(4096, '\x5A');
    }
  }
  open();
  auto listed = client().list(kRecords);
  ASSERT_FALSE(listed.ok());
  EXPECT_EQ(listed.error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(listed.error().detail.empty());
  EXPECT_EQ(client().count(kRecords), 50U);  // what is whole still answers
}

TEST_F(SqliteFault, RemovedFileRefusesWrites) {
  open();
  ASSERT_TRUE(client().create(kRecords, "a").ok());
  std::filesystem::rename(scratch_.file("godwit.db"), scratch_.file("away.db"));
  EXPECT_EQ(client().create(kRecords, "b").error().code, ErrorCode::kUnavailable);
  std::filesystem::rename(scratch_.file("away.db"), scratch_.file("godwit.db"));
  EXPECT_TRUE(client().create(kRecords, "b").ok());
}

// A file size limit makes write(2) fail as a full disk does, without needing one.
TEST_F(SqliteFault, WritesFailCleanlyWhenTheDiskIsFullAndComeBack) {
  open();
  ASSERT_TRUE(client().run(Mode::kWrite, creating("first")).ok());
  auto before = ::signal(SIGXFSZ, SIG_IGN);
  struct rlimit old = {};
  ::getrlimit(RLIMIT_FSIZE, &old);
  struct rlimit tight = old;
  tight.rlim_cur = 256 << 10;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  std::vector<std::string> acknowledged;
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string id = "r" + std::to_string(i);
    auto r = client().run(Mode::kWrite, creating(id));
    if (r.ok()) {
      ASSERT_EQ(*r, Verdict::kCommit);
      acknowledged.push_back(id);
    } else {
      EXPECT_EQ(r.error().code, ErrorCode::kUnavailable) << r.error().detail;
      ++refused;
    }
  }
  EXPECT_TRUE(client().get(kRecords, "first").ok());
  ::setrlimit(RLIMIT_FSIZE, &old);
  ::signal(SIGXFSZ, before);
  EXPECT_GT(refused, 0);
  EXPECT_FALSE(acknowledged.empty());
  ASSERT_TRUE(client().run(Mode::kWrite, creating("after")).ok());
  EXPECT_EQ(client().count(kRecords), acknowledged.size() + 2);
  for (const auto& id : acknowledged) EXPECT_TRUE(client().get(kRecords, id).ok()) << id;
}

TEST_F(SqliteFault, FullFileSystem) {
  std::string folder = scratch_.file("small");
  ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);
  if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "may not mount a small tmpfs here";
  }
  open("small/godwit.db");
  std::vector<std::string> acknowledged;
  int refused = 0;
  for (int i = 0; i < 600 && refused < 20; ++i) {
    std::string id = "r" + std::to_string(i);
    auto r = client().run(Mode::kWrite, creating(id));
    if (r.ok()) {
      acknowledged.push_back(id);
    } else {
      EXPECT_EQ(r.error().code, ErrorCode::kUnavailable) << r.error().detail;
      ++refused;
    }
  }
  EXPECT_EQ(refused, 20);
  EXPECT_FALSE(acknowledged.empty());
  EXPECT_EQ(::mount("tmpfs", folder.c_str(), "tmpfs", MS_REMOUNT, "size=8m"), 0);
  EXPECT_TRUE(client().run(Mode::kWrite, creating("after")).ok());
  EXPECT_EQ(client().count(kRecords), acknowledged.size() + 1);
  for (const auto& id : acknowledged) EXPECT_TRUE(client().get(kRecords, id).ok()) << id;
  stores_.backend->stop(Deadline::after(kTestWait));
  home_.run([] {});
  stores_ = {};
  EXPECT_EQ(::umount(folder.c_str()), 0);
}

TEST_F(SqliteFault, WritesWaitForTheLockUpToTheirDeadline) {
  open();
  ASSERT_TRUE(client().create(kRecords, "a").ok());
  int fd = ::open((scratch_.file("godwit.db") + ".lock").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  auto late =
      client().run(Mode::kWrite, creating("b"), Deadline::after(std::chrono::milliseconds(50)));
  EXPECT_EQ(late.error().code, ErrorCode::kTimeout);
  EXPECT_TRUE(client().get(kRecords, "a").ok());  // reading needs no lock
  EXPECT_EQ(tryOpen(scratch_.file("godwit.db")).error().code, ErrorCode::kUnavailable);
  std::promise<Result<Verdict>> waiting;
  home_.post([&] {
    stores_.backend->run(Mode::kWrite, home_, Deadline::after(kTestWait), creating("c"),
                         [&](Result<Verdict> r) { waiting.set_value(std::move(r)); });
  });
  home_.run([] {});
  ::close(fd);
  EXPECT_TRUE(waiting.get_future().get().ok());
  EXPECT_EQ(client().ids(kRecords), "c a");
}

TEST_F(SqliteFault, DeletedLockFileIsMadeAgain) {
  open();
  std::string path = scratch_.file("godwit.db") + ".lock";
  ASSERT_TRUE(std::filesystem::remove(path));
  ASSERT_TRUE(client().create(kRecords, "a").ok());
  ASSERT_TRUE(std::filesystem::exists(path));
  int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  auto late =
      client().run(Mode::kWrite, creating("b"), Deadline::after(std::chrono::milliseconds(50)));
  EXPECT_EQ(late.error().code, ErrorCode::kTimeout);
  ::close(fd);
}

TEST_F(SqliteFault, NoStatementScansATable) {
  open();
  using sqlite::Sql;
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(scratch_.file("godwit.db").c_str(), &db), SQLITE_OK);
  for (std::size_t i = static_cast<std::size_t>(Sql::kListFind); i < sqlite::kSqlCount; ++i) {
    auto which = static_cast<Sql>(i);
    // Emptying and the oldest entry are meant to start at the beginning.
    if (which == Sql::kCacheClear || which == Sql::kCacheOldest) continue;
    std::string text = std::string("EXPLAIN QUERY PLAN ") + sqlite::textOf(which);
    sqlite3_stmt* s = nullptr;
    ASSERT_EQ(sqlite3_prepare_v2(db, text.c_str(), -1, &s, nullptr), SQLITE_OK) << text;
    while (sqlite3_step(s) == SQLITE_ROW) {
      std::string plan = reinterpret_cast<const char*>(sqlite3_column_text(s, 3));
      EXPECT_EQ(plan.find("SCAN"), std::string::npos) << text << ": " << plan;
      EXPECT_EQ(plan.find("TEMP B-TREE"), std::string::npos) << text << ": " << plan;
    }
    sqlite3_finalize(s);
  }
  sqlite3_close(db);
}

TEST_F(SqliteFault, WritesWaitForAProgramWithoutTheLock) {
  open();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(scratch_.file("godwit.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  auto late =
      client().run(Mode::kWrite, creating("b"), Deadline::after(std::chrono::milliseconds(80)));
  EXPECT_EQ(late.error().code, ErrorCode::kTimeout);
  ASSERT_EQ(sqlite3_exec(db, "ROLLBACK", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_TRUE(client().run(Mode::kWrite, creating("c")).ok());
  sqlite3_close(db);
}

TEST_F(SqliteFault, LongScansEndAtTheirDeadline) {
  open();
  auto filled = client().run(Mode::kWrite, [](Session& s) -> Task<Verdict> {
    for (int i = 0; i < 30'000; ++i) {
      Object o = Client::object("r" + std::to_string(i), R"({"n":1})");
      auto task = s.create(kRecords, std::move(o));
      auto r = co_await task;
      if (!r.ok()) co_return Verdict::kRollback;
    }
    co_return Verdict::kCommit;
  });
  ASSERT_TRUE(filled.ok());
  Query none = where("n", Op::kEq, "2");
  std::optional<ErrorCode> code;
  auto ran = client().run(
      Mode::kScan,
      [&](Session& s) -> Task<Verdict> {
        for (int i = 0; i < 1000; ++i) {
          auto task = s.list(kRecords, none);
          auto r = co_await task;
          if (!r.ok()) {
            code = r.error().code;
            co_return Verdict::kRollback;
          }
        }
        co_return Verdict::kCommit;
      },
      Deadline::after(std::chrono::milliseconds(100)));
  ASSERT_FALSE(ran.ok());
  EXPECT_EQ(ran.error().code, ErrorCode::kTimeout);
  EXPECT_EQ(code, ErrorCode::kTimeout);
  EXPECT_EQ(client().ids(kRecords, none), "");
}

TEST_F(SqliteFault, UnitInterruptedWhileWritingFailsAlone) {
  open();
  struct Never {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    void await_resume() const noexcept {}
  };
  // All in one group: they are submitted while the writer is busy with the first.
  std::vector<Result<Verdict>> results(4, Result<Verdict>(ErrorCode::kInternal, "no answer"));
  std::atomic<int> left = 4;
  std::promise<void> all;
  std::promise<void> submitted;
  auto open_gate = submitted.get_future().share();
  home_.post([&] {
    auto go = [&](std::size_t i, Deadline deadline, Work work) {
      stores_.backend->run(Mode::kWrite, home_, deadline, std::move(work),
                           [&, i](Result<Verdict> r) {
                             results[i] = std::move(r);
                             if (--left == 0) all.set_value();
                           });
    };
    go(0, Deadline::after(kTestWait), [&](Session& s) -> Task<Verdict> {
      open_gate.wait();
      Object o = Client::object("zero");
      auto task = s.create(kRecords, std::move(o));
      auto r = co_await task;
      co_return r.ok() ? Verdict::kCommit : Verdict::kRollback;
    });
    go(1, Deadline::after(kTestWait), creating("one"));
    // Changes things until it is stopped.
    go(2, Deadline::after(std::chrono::milliseconds(300)), [&](Session& s) -> Task<Verdict> {
      for (int i = 0;; ++i) {
        Object o = Client::object("bad" + std::to_string(i));
        auto task = s.create(kRecords, std::move(o));
        auto r = co_await task;
        if (!r.ok()) co_return Verdict::kCommit;  // even a unit that does not care
      }
    });
    go(3, Deadline::after(kTestWait), [&](Session&) -> Task<Verdict> {
      Never never;
      co_await never;
      co_return Verdict::kCommit;
    });
    submitted.set_value();
  });
  all.get_future().wait();
  EXPECT_TRUE(results[0].ok());
  EXPECT_TRUE(results[1].ok()) << results[1].error().detail;
  EXPECT_EQ(results[2].error().code, ErrorCode::kTimeout);
  EXPECT_EQ(results[3].error().code, ErrorCode::kInternal);
  EXPECT_EQ(client().ids(kRecords), "one zero");
}

TEST_F(SqliteFault, FullQueueRefuses) {
  SqliteOptions options(scratch_.file("godwit.db"));
  options.max_write_queue = 4;
  auto stores = openSqlite(options);
  ASSERT_TRUE(stores.ok());
  stores_ = std::move(*stores);
  std::promise<void> gate;
  auto opened = gate.get_future().share();
  int refused = 0;
  int answered = 0;
  std::promise<void> all;
  home_.post([&] {
    for (int i = 0; i < 20; ++i) {
      stores_.backend->run(
          Mode::kWrite, home_, Deadline::after(kTestWait),
          [&](Session&) -> Task<Verdict> {
            opened.wait();
            co_return Verdict::kCommit;
          },
          [&](Result<Verdict> r) {
            if (!r.ok() && r.error().code == ErrorCode::kUnavailable) ++refused;
            if (++answered == 20) all.set_value();
          });
    }
    gate.set_value();
  });
  all.get_future().wait();
  EXPECT_GE(refused, 20 - 4 - 4);  // at most one group taken and one queue full
}

}  // namespace
}  // namespace godwit::store
