#include "ops/row_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace godwit::ops {
namespace {

using testing::HasSubstr;

Row liveRow() {
  Row row;
  row.object.id = "r1";
  row.object.last_modified = 1'700'000'000'123;
  row.object.data = R"({"n":1.50,"t":"\u00FC\n\"x"})";
  row.permissions = {{"read", {"system.Everyone", "a\"b"}}, {"write", {"account:x"}}};
  sortPermissions(row.permissions);
  return row;
}

TEST(RowText, a_row_comes_back_as_it_went) {
  Row row = liveRow();
  std::string text;
  appendRow(text, row);
  auto line = parseLine(text);
  ASSERT_TRUE(line.ok()) << line.error().message;
  EXPECT_EQ(line->kind, Line::Kind::kRow);
  EXPECT_EQ(line->row.object.id, "r1");
  EXPECT_EQ(line->row.object.last_modified, 1'700'000'000'123);
  EXPECT_EQ(line->row.object.data, row.object.data);
  EXPECT_EQ(line->row.permissions, row.permissions);
  EXPECT_FALSE(line->row.object.deleted);
}

TEST(RowText, a_tombstone_is_no_object) {
  Row row = liveRow();
  row.object.deleted = true;
  std::string text;
  appendRow(text, row);
  EXPECT_EQ(text, R"({"id":"r1","last_modified":1700000000123,"deleted":true})");
  auto line = parseLine(text);
  ASSERT_TRUE(line.ok());
  EXPECT_TRUE(line->row.object.deleted);
  EXPECT_EQ(line->row.object.data, "{}");
}

TEST(RowText, permissions_have_one_order) {
  store::Permissions p = {{"write", {"b", "a", "b"}}, {"read", {}}, {"create", {"x"}}};
  sortPermissions(p);
  EXPECT_EQ(p, (store::Permissions{{"create", {"x"}}, {"write", {"a", "b"}}}));
}

TEST(RowText, lists_and_ends_are_understood) {
  List list;
  list.ref = {"record", "/buckets/b/collections/c"};
  std::string text;
  appendListLine(text, list);
  auto line = parseLine(text);
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->kind, Line::Kind::kList);
  EXPECT_EQ(line->list.ref.parent, list.ref.parent);
  line = parseLine(R"({"end":{"timestamp":5,"rows":3,"crc32c":"0a0b0c0d"}})");
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->rows, 3U);
  EXPECT_EQ(line->crc, 0x0a0b0c0dU);
  EXPECT_EQ(line->list.timestamp, 5);
  line = parseLine(R"({"finish":{"rows":7}})");
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->kind, Line::Kind::kFinish);
}

TEST(RowText, what_is_not_ours_is_refused) {
  for (const char* bad :
       {"", "x", "[]", "{}", R"({"id":"r"})", R"({"id":"r","last_modified":0,"data":{}})",
        R"({"id":"r","last_modified":1})", R"({"id":"r","last_modified":1,"data":[]})",
        R"({"id":"r","last_modified":1,"deleted":true,"data":{}})",
        R"({"id":"","last_modified":1,"data":{}})", R"({"id":7,"last_modified":1,"data":{}})",
        R"({"id":"r","last_modified":1,"data":{},"permissions":{"read":"x"}})",
        R"({"id":"r","last_modified":1,"data":{}} x)", R"({"list":{"resource":"record"}})",
        R"({"end":{"rows":1}})", R"({"end":{"rows":1,"crc32c":"xyz"}})", R"({"finish":{}})"}) {
    auto line = parseLine(bad);
    ASSERT_FALSE(line.ok()) << bad;
    EXPECT_EQ(line.error().code, ErrorCode::kInvalid) << bad;
  }
  auto newer = parseLine(R"({"godwit":"export","version":2})");
  ASSERT_FALSE(newer.ok());
  EXPECT_EQ(newer.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace godwit::ops
