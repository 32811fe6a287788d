// Moving a store between SQLite and PostgreSQL and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "cluster.h"
#include "store/copy.h"
#include "store/copy_source.h"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using store::CopyRequest;
using testing::HasSubstr;

class Copy : public testing::Test {
 protected:
  void SetUp() override {
    if (!Cluster::whyNot().empty()) GTEST_SKIP() << Cluster::whyNot();
    static int n = 0;
    kinto_ = "copied" + std::to_string(++n);
    cluster().createDatabase(kinto_);
    std::ifstream in(KINTO_FIXTURE);
    std::stringstream text;
    text << in.rdbuf();
    cluster().exec(text.str(), kinto_);
    // Enough for several batches, with holes.
    cluster().exec(
        "INSERT INTO objects SELECT 'r' || i, '/buckets/blog/collections/many', 'record',"
        " from_epoch(1714560000000 + i), CASE WHEN i % 7 = 0 THEN '{\"deleted\": true}'::jsonb"
        " ELSE jsonb_build_object('n', i, 'f', i / 8.0) END, i % 7 = 0"
        " FROM generate_series(1, 1000) i",
        kinto_);
    // Two rows that rounded to the same millisecond could not live on elsewhere.
    cluster().exec("DELETE FROM objects WHERE id = 'a0'", kinto_);
  }
  static Cluster& cluster() { return Cluster::shared(); }
  Result<store::CopyReport> copy(const std::string& from, const std::string& to) {
    CopyRequest request;
    request.from = from;
    request.to = to;
    return store::copyStore(request, Deadline::after(120s), [&](const store::CopyProgress& p) {
      EXPECT_LE(p.done, p.total);
      last_ = p;
    });
  }

  TempFolder folder_{"copy"};
  std::string kinto_;
  store::CopyProgress last_;
};

TEST_F(Copy, to_sqlite_and_back_keeps_everything) {
  std::string file = "sqlite:" + folder_.path() + "/store.db";
  auto there = copy(cluster().url(kinto_), file);
  ASSERT_TRUE(there.ok()) << there.error().message << " " << there.error().detail;
  EXPECT_THAT(there->differences, testing::IsEmpty());
  EXPECT_EQ(there->objects, 6U + 858U);
  EXPECT_EQ(there->tombstones, 143U);
  EXPECT_EQ(there->entries, 7U);
  EXPECT_EQ(last_.done, last_.total);

  std::string fresh = cluster().freshDatabase();
  auto back = copy(file, cluster().url(fresh));
  ASSERT_TRUE(back.ok()) << back.error().message << " " << back.error().detail;
  EXPECT_THAT(back->differences, testing::IsEmpty());
  const std::string all =
      "SELECT md5(string_agg(id || parent_id || resource_name || data || deleted ||"
      " as_epoch(last_modified), '' ORDER BY parent_id, resource_name, id)) FROM objects";
  EXPECT_EQ(cluster().exec(all, fresh), cluster().exec(all, kinto_));
}

TEST_F(Copy, goes_on_after_an_interruption) {
  std::string fresh = cluster().freshDatabase();
  CopyRequest request;
  request.from = cluster().url(kinto_);
  request.to = cluster().url(fresh);
  struct Interrupted {};
  bool interrupted = false;
  try {
    auto r = store::copyStore(request, Deadline::after(120s), [&](const store::CopyProgress& p) {
      if (p.done > 500) throw Interrupted();
    });
    EXPECT_FALSE(r.ok());
  } catch (const Interrupted&) {
    interrupted = true;
  }
  ASSERT_TRUE(interrupted);
  auto again = copy(cluster().url(kinto_), cluster().url(fresh));
  ASSERT_TRUE(again.ok()) << again.error().message << " " << again.error().detail;
  EXPECT_GT(again->skipped, 0U);
  EXPECT_THAT(again->differences, testing::IsEmpty());
}

TEST_F(Copy, tells_what_differs) {
  std::string fresh = cluster().freshDatabase();
  ASSERT_TRUE(copy(cluster().url(kinto_), cluster().url(fresh)).ok());
  cluster().exec(
      "ALTER TABLE objects DISABLE TRIGGER ALL;"
      "UPDATE objects SET data = '{\"n\": 0}' WHERE id = 'r10';"
      "DELETE FROM access_control_entries WHERE principal = 'system.Everyone';"
      "INSERT INTO objects VALUES ('x', '', 'else', now(), '{}', FALSE)",
      fresh);
  auto from = store::openCopySource(cluster().url(kinto_), Deadline::after(30s));
  ASSERT_TRUE(from.ok());
  auto again = copy(cluster().url(kinto_), cluster().url(fresh));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_THAT(again->differences, testing::Contains(HasSubstr("contents differ")));
  EXPECT_THAT(again->differences, testing::Contains(HasSubstr("only in the target")));
}

TEST_F(Copy, refuses_what_it_does_not_know) {
  EXPECT_EQ(copy("mysql://x", "sqlite:y").error().code, ErrorCode::kInvalid);
  EXPECT_FALSE(copy("sqlite:/nowhere/at/all.db", "sqlite:y").ok());
}

}  // namespace
}  // namespace godwit::test
