#include "store/sqlite/reader.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <future>

#include "base/random.h"
#include "store/sqlite/sqlite.h"
#include "store/test_reactor.h"

namespace godwit::store {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// Two programs' worth of stores on one file.
class SharedSnapshot : public testing::Test {
 protected:
  SharedSnapshot() : folder_(fs::temp_directory_path() / ("godwit-" + randomHex(6))) {
    fs::create_directory(folder_);
    SqliteOptions options((folder_ / "x.db").string());
    here_ = std::move(*openSqlite(options));
    there_ = std::move(*openSqlite(options));
  }
  ~SharedSnapshot() override {
    here_.backend->stop(Deadline::after(10s));
    there_.backend->stop(Deadline::after(10s));
    here_ = {};
    there_ = {};
    fs::remove_all(folder_);
  }

  // Blocks; from the test's thread or, as another loop, from within a unit's turn.
  static void write(Backend& backend, TestReactor& reactor, const std::string& id) {
    std::promise<void> done;
    reactor.post([&] {
      Work work = [id](Session& s) -> Task<Verdict> {
        Ref ref{"record", "/p"};
        Object object;
        object.id = id;
        auto created = co_await s.create(ref, std::move(object));
        co_return created.ok() ? Verdict::kCommit : Verdict::kRollback;
      };
      backend.run(Mode::kWrite, reactor, Deadline::after(10s), std::move(work),
                  [&](Result<Verdict> r) {
                    EXPECT_TRUE(r.ok() && *r == Verdict::kCommit);
                    done.set_value();
                  });
    });
    done.get_future().wait();
  }

  // On the reactor's thread.
  static bool sees(Backend& backend, TestReactor& reactor, const std::string& id) {
    bool found = false;
    Work work = [id, &found](Session& s) -> Task<Verdict> {
      Ref ref{"record", "/p"};
      auto got = co_await s.get(ref, id);
      found = got.ok();
      co_return Verdict::kCommit;
    };
    backend.run(Mode::kPoint, reactor, Deadline::after(10s), std::move(work),
                [](Result<Verdict> r) { EXPECT_TRUE(r.ok()); });
    return found;
  }

  fs::path folder_;
  TestReactor loop_{0};
  TestReactor writer_{1};
  SqliteStores here_, there_;
};

TEST_F(SharedSnapshot, a_read_sees_what_was_committed_before_it_even_in_the_same_turn) {
  write(*here_.backend, writer_, "first");
  for (int round = 0; round < 20; ++round) {
    std::string mine = "mine" + std::to_string(round);
    std::string theirs = "theirs" + std::to_string(round);
    loop_.run([&] {  // one turn
      EXPECT_TRUE(sees(*here_.backend, loop_, "first"));
      EXPECT_TRUE(sees(*here_.backend, loop_, "first"));
      EXPECT_FALSE(sees(*here_.backend, loop_, mine));
      write(*here_.backend, writer_, mine);
      EXPECT_TRUE(sees(*here_.backend, loop_, mine)) << "written by this process";
      EXPECT_FALSE(sees(*here_.backend, loop_, theirs));
      write(*there_.backend, writer_, theirs);
      EXPECT_TRUE(sees(*here_.backend, loop_, theirs)) << "written by another connection";
    });
  }
}

TEST_F(SharedSnapshot, no_snapshot_outlives_its_turn) {
  write(*here_.backend, writer_, "first");
  loop_.run([&] { EXPECT_TRUE(sees(*here_.backend, loop_, "first")); });
  loop_.run([&] { EXPECT_TRUE(sees(*here_.backend, loop_, "first")); });
  loop_.run([] {});  // the turn's end has run before this
  // A checkpoint that truncates the log fails while anybody reads an old snapshot.
  write(*here_.backend, writer_, "second");
  here_.backend->stop(Deadline::after(10s));
  there_.backend->stop(Deadline::after(10s));
  EXPECT_LE(fs::exists(folder_ / "x.db-wal") ? fs::file_size(folder_ / "x.db-wal") : 0, 0u);
}

}  // namespace
}  // namespace godwit::store
