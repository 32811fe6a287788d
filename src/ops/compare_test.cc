#include "ops/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/presence.h"

namespace godwit::ops {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Row row(const std::string& id, store::Timestamp t, const std::string& data = "{}",
        store::Permissions permissions = {}) {
  Row r;
  r.object.id = id;
  r.object.last_modified = t;
  r.object.data = data;
  r.permissions = std::move(permissions);
  return r;
}

// One list, a few rows a page.
class Rows final : public Source {
 public:
  Rows(std::vector<Row> all, store::Timestamp timestamp) : all_(std::move(all)) {
    list_.ref = {"record", "/buckets/b/collections/c"};
    list_.timestamp = timestamp;
    list_.rows = all_.size();
  }
  [[nodiscard]] std::string name() const override { return "rows"; }
  Result<std::vector<List>> lists() override { return std::vector<List>{list_}; }
  Result<Page> rows(const store::Ref&, store::Timestamp after, bool) override {
    ++pages;
    Page page;
    for (const Row& r : all_) {
      if (r.object.last_modified <= after) continue;
      if (page.rows.size() == 2) return page;
      page.rows.push_back(r);
    }
    page.last = true;
    return page;
  }

  int pages = 0;

 private:
  List list_;
  std::vector<Row> all_;
};

Comparison compareRows(std::vector<Row> a, std::vector<Row> b, CompareRequest request = {},
                       store::Timestamp ta = 100, store::Timestamp tb = 100) {
  Rows x(std::move(a), ta);
  Rows y(std::move(b), tb);
  auto done = compare(x, y, request, nullptr);
  EXPECT_TRUE(done.ok());
  return done.ok() ? *done : Comparison();
}

TEST(Compare, equal_is_equal_however_numbers_and_members_are_written) {
  auto c = compareRows({row("a", 1, R"({"x":1.0,"y":[1e2]})"), row("b", 2), row("c", 3)},
                       {row("a", 1, R"({"y":[100],"x":1})"), row("b", 2), row("c", 3)});
  EXPECT_EQ(c.equal, 3U);
  EXPECT_EQ(c.different, 0U);
  EXPECT_EQ(c.extra, 0U);
}

TEST(Compare, every_kind_of_difference_is_found) {
  auto missing = compareRows({row("a", 1), row("b", 2), row("c", 3)}, {row("a", 1), row("c", 3)});
  EXPECT_THAT(missing.examples, ElementsAre(HasSubstr("id b: missing")));
  auto data = compareRows({row("a", 1, R"({"n":1})")}, {row("a", 1, R"({"n":2})")});
  EXPECT_THAT(data.examples, ElementsAre(HasSubstr("contents differ")));
  auto id = compareRows({row("a", 1)}, {row("b", 1)});
  EXPECT_THAT(id.examples, ElementsAre(HasSubstr("contents differ")));
  auto time = compareRows({row("a", 1)}, {row("a", 2)});
  EXPECT_EQ(time.different, 1U);
  EXPECT_EQ(time.extra, 1U);
  auto who = compareRows({row("a", 1, "{}", {{"read", {"x"}}})}, {row("a", 1)});
  EXPECT_THAT(who.examples, ElementsAre(HasSubstr("permissions differ")));
  auto list = compareRows({}, {}, {}, 100, 99);
  EXPECT_THAT(list.examples, ElementsAre(HasSubstr("timestamp 100 became 99")));
  auto end = compareRows({row("a", 1), row("b", 2)}, {row("a", 1)});
  EXPECT_EQ(end.different, 1U);
  auto extra = compareRows({row("a", 1)}, {row("a", 1), row("b", 2)});
  EXPECT_EQ(extra.different, 0U);
  EXPECT_EQ(extra.extra, 1U);
}

TEST(Compare, an_older_state_may_be_missing_when_a_newer_one_follows) {
  auto c = compareRows({row("a", 1), row("b", 2), row("c", 3), row("a", 4)},
                       {row("b", 2), row("c", 3), row("a", 4)});
  EXPECT_EQ(c.different, 0U);
  EXPECT_EQ(c.replaced, 1U);
  auto lost = compareRows({row("a", 1), row("b", 2), row("a", 4)}, {row("b", 2)});
  EXPECT_EQ(lost.different, 1U);
}

TEST(Compare, what_came_later_is_no_difference_of_a_live_original) {
  CompareRequest live;
  live.live = true;
  auto c = compareRows({row("a", 1), row("b", 150)}, {row("a", 1)}, live, 150, 100);
  EXPECT_EQ(c.different, 0U);
  EXPECT_EQ(c.later, 1U);
  auto lost =
      compareRows({row("a", 1), row("b", 50), row("c", 150)}, {row("a", 1)}, live, 150, 100);
  EXPECT_EQ(lost.different, 1U);
}

TEST(Compare, the_writer_is_not_counted_among_those_who_may_write) {
  CompareRequest request;
  request.writer = "me";
  auto c = compareRows(
      {row("a", 1, "{}", {{"write", {"x"}}}), row("b", 2)},
      {row("a", 1, "{}", {{"write", {"me", "x"}}}), row("b", 2, "{}", {{"write", {"me"}}})},
      request);
  EXPECT_EQ(c.different, 0U);
  auto read = compareRows({row("a", 1)}, {row("a", 1, "{}", {{"read", {"me"}}})}, request);
  EXPECT_EQ(read.different, 1U);
}

TEST(Presence, walks_along_and_asks_an_empty_list_once) {
  Rows there({row("a", 1), row("b", 2), row("c", 5), row("d", 6), row("e", 7)}, 7);
  Presence presence(
      [&](const store::Ref& ref, store::Timestamp after) { return there.rows(ref, after, false); });
  presence.start({"record", "x"});
  EXPECT_TRUE(*presence.has(row("a", 1)));
  EXPECT_FALSE(*presence.has(row("z", 2)));
  EXPECT_FALSE(*presence.has(row("c", 4)));
  EXPECT_TRUE(*presence.has(row("c", 5)));
  EXPECT_TRUE(*presence.has(row("e", 7)));
  EXPECT_FALSE(*presence.has(row("f", 8)));

  Rows empty({}, 0);
  Presence nothing(
      [&](const store::Ref& ref, store::Timestamp after) { return empty.rows(ref, after, false); });
  nothing.start({"record", "x"});
  for (int i = 1; i < 50; ++i) EXPECT_FALSE(*nothing.has(row("x", i)));
  EXPECT_EQ(empty.pages, 1);
}

}  // namespace
}  // namespace godwit::ops
