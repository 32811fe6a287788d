#include <algorithm>

#include "store/conformance.h"

// Filters, sorting, page rules.
namespace godwit::store {
namespace {

// One object per kind of value of the field "v"; "none" lacks it.
struct Sample {
  const char* id;
  const char* value;
};
constexpr Sample kSamples[] = {
    {"null", "null"}, {"abc", R"("abc")"}, {"one-text", R"("1")"}, {"minus", "-5"},
    {"one", "1"},     {"onepoint", "1.0"}, {"half", "1.5"},        {"big", "12345678901234567890"},
    {"no", "false"},  {"yes", "true"},     {"list", R"([1,"x"])"}, {"object", R"({"k":1})"},
};

}  // namespace

void StoreConformance::seedSamples() {
  auto ran = client().run(Mode::kWrite, [&](Session& s) -> Task<Verdict> {
    for (const Sample& sample : kSamples) {
      Object o = Client::object(sample.id, R"({"v":)" + std::string(sample.value) + "}");
      auto task = s.create(records_, std::move(o));
      auto made = co_await task;
      if (!made.ok()) co_return Verdict::kRollback;
    }
    Object none = Client::object("none");
    auto task = s.create(records_, std::move(none));
    auto made = co_await task;
    co_return made.ok() ? Verdict::kCommit : Verdict::kRollback;
  });
  ASSERT_TRUE(ran.ok() && *ran == Verdict::kCommit);
}

std::string StoreConformance::match(Op op, std::string_view value) {
  Query q = where("v", op, value);
  q.sort.push_back({"last_modified", false});
  std::string found = client().ids(records_, q);
  auto n = static_cast<std::uint64_t>(std::count(found.begin(), found.end(), ' ')) +
           (found.empty() ? 0 : 1);
  EXPECT_EQ(client().count(records_, where("v", op, value)), n) << value;
  return found;
}

constexpr const char* kAll =
    "null abc one-text minus one onepoint half big no yes list object none";

TEST_P(StoreConformance, EqualsByKindAndValue) {
  seedSamples();
  EXPECT_EQ(match(Op::kEq, "1"), "one onepoint");
  EXPECT_EQ(match(Op::kEq, "1.0"), "one onepoint");
  EXPECT_EQ(match(Op::kEq, "1e0"), "one onepoint");
  EXPECT_EQ(match(Op::kEq, R"("1")"), "one-text");
  EXPECT_EQ(match(Op::kEq, R"("abc")"), "abc");
  EXPECT_EQ(match(Op::kEq, "true"), "yes");
  EXPECT_EQ(match(Op::kEq, "false"), "no");
  EXPECT_EQ(match(Op::kEq, "null"), "null");
  EXPECT_EQ(match(Op::kEq, R"([1,"x"])"), "list");
  EXPECT_EQ(match(Op::kEq, R"({"k":1})"), "object");
  EXPECT_EQ(match(Op::kEq, "12345678901234567890"), "big");
  EXPECT_EQ(match(Op::kEq, "12345678901234567891"), "");
}

TEST_P(StoreConformance, NotIncludesTheAbsent) {
  seedSamples();
  EXPECT_EQ(match(Op::kNot, "1"), "null abc one-text minus half big no yes list object none");
  EXPECT_EQ(match(Op::kNot, "null"),
            "abc one-text minus one onepoint half big no yes list object none");
  EXPECT_EQ(match(Op::kNot, R"("zzz")"), kAll);
}

TEST_P(StoreConformance, OrderIsJsonbsAndAbsentIsGreatest) {
  seedSamples();
  EXPECT_EQ(match(Op::kGt, "1"), "half big no yes list object none");
  EXPECT_EQ(match(Op::kMin, "1"), "one onepoint half big no yes list object none");
  EXPECT_EQ(match(Op::kLt, "1"), "null abc one-text minus");
  EXPECT_EQ(match(Op::kMax, "1"), "null abc one-text minus one onepoint");
  EXPECT_EQ(match(Op::kLt, R"("abc")"), "null one-text");
  EXPECT_EQ(match(Op::kGt, "false"), "yes list object none");
  EXPECT_EQ(match(Op::kGt, "null"),
            "abc one-text minus one onepoint half big no yes list object none");
  EXPECT_EQ(match(Op::kLt, "null"), "");
  EXPECT_EQ(match(Op::kGt, R"({"k":1})"), "none");
  EXPECT_EQ(match(Op::kMax, R"({"k":1})"),
            "null abc one-text minus one onepoint half big no yes list object");
}

TEST_P(StoreConformance, InAndExclude) {
  seedSamples();
  EXPECT_EQ(match(Op::kIn, R"([1,"abc",null])"), "null abc one onepoint");
  EXPECT_EQ(match(Op::kIn, R"(["zzz"])"), "");
  EXPECT_EQ(match(Op::kIn, "[]"), "");
  EXPECT_EQ(match(Op::kExclude, R"([1,"abc",null])"),
            "one-text minus half big no yes list object none");
  EXPECT_EQ(match(Op::kExclude, "[]"), "none");
}

TEST_P(StoreConformance, LikeSearchesTextWithoutCase) {
  seedSamples();
  EXPECT_EQ(match(Op::kLike, R"("*B*")"), "abc");
  EXPECT_EQ(match(Op::kLike, R"("A*")"), "abc");
  EXPECT_EQ(match(Op::kLike, R"("*b")"), "");
  EXPECT_EQ(match(Op::kLike, R"("abc")"), "abc");
  EXPECT_EQ(match(Op::kLike, R"("*")"),
            "abc one-text minus one onepoint half big no yes list object");
  EXPECT_EQ(match(Op::kLike, R"("1*")"), "one-text one onepoint half big");
  EXPECT_EQ(match(Op::kLike, R"("T*e")"), "yes");
  EXPECT_EQ(match(Op::kLike, R"("*\"k\": 1*")"), "object");
}

TEST_P(StoreConformance, HasCountsNullAsPresent) {
  seedSamples();
  EXPECT_EQ(match(Op::kHas, "true"),
            "null abc one-text minus one onepoint half big no yes list object");
  EXPECT_EQ(match(Op::kHas, "false"), "none");
}

TEST_P(StoreConformance, ContainsLooksIntoArraysOnly) {
  seedSamples();
  EXPECT_EQ(match(Op::kContains, "[1]"), "list");
  EXPECT_EQ(match(Op::kContains, R"(["x",1.0])"), "list");
  EXPECT_EQ(match(Op::kContains, R"([1,2])"), "");
  EXPECT_EQ(match(Op::kContainsAny, R"([2,"x"])"), "list");
  EXPECT_EQ(match(Op::kContainsAny, R"([2,"y"])"), "");
  EXPECT_EQ(match(Op::kContainsAny, R"([])"), "");
  EXPECT_EQ(match(Op::kContains, R"(["abc"])"), "");
}

TEST_P(StoreConformance, SortIsJsonbsOrderAndTiesAreNewestFirst) {
  seedSamples();
  Client c = client();
  Query q;
  q.sort.push_back({"v", false});
  EXPECT_EQ(c.ids(records_, q),
            "null one-text abc minus onepoint one half big no yes list object none");
  q.sort = {{"v", true}};
  EXPECT_EQ(c.ids(records_, q),
            "none object list yes no big half onepoint one minus abc one-text null");
  q.limit = 3;
  EXPECT_EQ(c.ids(records_, q), "none object list");
  q.sort = {{"v", false}};
  EXPECT_EQ(c.ids(records_, q), "null one-text abc");
  q.sort = {{"v", false}, {"last_modified", false}};
  q.limit = 6;
  EXPECT_EQ(c.ids(records_, q), "null one-text abc minus one onepoint");
}

TEST_P(StoreConformance, FiltersOnColumns) {
  Client c = client();
  Timestamp a = c.create(records_, "a", "{}", 1'000)->last_modified;
  ASSERT_TRUE(c.create(records_, "b", "{}", 2'000).ok());
  ASSERT_TRUE(c.create(records_, "B2", "{}", 3'000).ok());
  auto text = [](Timestamp t) { return std::to_string(t); };
  EXPECT_EQ(c.ids(records_, where("id", Op::kEq, R"("a")")), "a");
  EXPECT_EQ(c.ids(records_, where("id", Op::kEq, R"("A")")), "");
  EXPECT_EQ(c.ids(records_, where("id", Op::kNot, R"("a")")), "B2 b");
  EXPECT_EQ(c.ids(records_, where("id", Op::kIn, R"(["b","a","zz","a"])")), "b a");
  EXPECT_EQ(c.ids(records_, where("id", Op::kExclude, R"(["b"])")), "B2 a");
  EXPECT_EQ(c.ids(records_, where("id", Op::kLike, R"("b*")")), "B2 b");
  EXPECT_EQ(c.ids(records_, where("id", Op::kHas, "true")), "B2 b a");
  EXPECT_EQ(c.ids(records_, where("id", Op::kHas, "false")), "");
  EXPECT_EQ(c.ids(records_, where("last_modified", Op::kEq, text(a))), "a");
  EXPECT_EQ(c.ids(records_, where("last_modified", Op::kEq, R"("2000")")), "b");
  EXPECT_EQ(c.ids(records_, where("last_modified", Op::kGt, "1000")), "B2 b");
  EXPECT_EQ(c.ids(records_, where("last_modified", Op::kGt, R"("1000")")), "B2 b");
  EXPECT_EQ(c.ids(records_, where("last_modified", Op::kMin, "2000")), "B2 b");
  EXPECT_EQ(c.ids(records_, where("last_modified", Op::kLt, "2000")), "a");
  EXPECT_EQ(c.ids(records_, where("last_modified", Op::kMax, "2000")), "b a");
  EXPECT_EQ(c.ids(records_, where("last_modified", Op::kNot, "2000")), "B2 a");
  EXPECT_EQ(c.ids(records_, where("last_modified", Op::kIn, "[1000,3000,5]")), "B2 a");
  EXPECT_EQ(c.ids(records_, where("last_modified", Op::kExclude, "[1000]")), "B2 b");
  EXPECT_EQ(c.ids(records_, where("last_modified", Op::kHas, "true")), "B2 b a");
  Query between = where("last_modified", Op::kGt, "1000");
  between.filters.push_back(filter("last_modified", Op::kLt, "3000"));
  EXPECT_EQ(c.ids(records_, between), "b");
  Query by_id;
  by_id.sort.push_back({"id", true});
  by_id.filters.push_back(filter("id", Op::kIn, R"(["a","b"])"));
  EXPECT_EQ(c.ids(records_, by_id), "b a");
  by_id.limit = 1;
  EXPECT_EQ(c.ids(records_, by_id), "b");
  Query oldest;
  oldest.sort.push_back({"last_modified", false});
  oldest.limit = 2;
  EXPECT_EQ(c.ids(records_, oldest), "a b");
}

TEST_P(StoreConformance, ImpossibleOperandsAreInvalid) {
  Client c = client();
  ASSERT_TRUE(c.create(records_, "a").ok());
  for (const Query& q :
       {where("last_modified", Op::kGt, R"("soon")"), where("last_modified", Op::kEq, "1.5"),
        where("last_modified", Op::kIn, "[true]"), where("id", Op::kContains, "[1]"),
        where("last_modified", Op::kContainsAny, "[1]"), where("v", Op::kLike, "1"),
        where("v", Op::kHas, "1")}) {
    auto r = c.list(records_, q);
    ASSERT_FALSE(r.ok()) << q.filters[0].field << static_cast<int>(q.filters[0].op);
    EXPECT_EQ(r.error().code, ErrorCode::kInvalid);
  }
}

TEST_P(StoreConformance, NestedFieldsAreSplitAtDots) {
  Client c = client();
  ASSERT_TRUE(c.create(records_, "nested", R"({"a":{"b":{"c":1}}})").ok());
  ASSERT_TRUE(c.create(records_, "literal", R"({"a.b":{"c":1},"a":5})").ok());
  ASSERT_TRUE(c.create(records_, "array", R"({"a":[{"b":{"c":1}}]})").ok());
  EXPECT_EQ(c.ids(records_, where("a.b.c", Op::kEq, "1")), "nested");
  EXPECT_EQ(c.ids(records_, where("a.b", Op::kHas, "true")), "nested");
  EXPECT_EQ(c.ids(records_, where("a.0", Op::kHas, "true")), "");
  Query q;
  q.sort.push_back({"a.b.c", false});
  EXPECT_EQ(c.ids(records_, q), "nested array literal");
}

TEST_P(StoreConformance, TextBeyondAsciiIsComparedDecoded) {
  Client c = client();
  ASSERT_TRUE(c.create(records_, "e", R"({"t":"\u00C9t\u00E9"})").ok());
  ASSERT_TRUE(c.create(records_, "q", R"({"t":"say \"hi\"\\"})").ok());
  EXPECT_EQ(c.ids(records_, where("t", Op::kEq, R"("\u00C9t\u00E9")")), "e");
  EXPECT_EQ(c.ids(records_, where("t", Op::kEq, "\"\xC3\x89t\xC3\xA9\"")), "e");
  EXPECT_EQ(c.ids(records_, where("t", Op::kLike, R"("*\"HI\"*")")), "q");
  EXPECT_EQ(c.ids(records_, where("t", Op::kLike, "\"\xC3\x89*\"")), "e");
}

TEST_P(StoreConformance, SeveralFiltersMustAllHold) {
  Client c = client();
  ASSERT_TRUE(c.create(records_, "a", R"({"n":1,"m":1})").ok());
  ASSERT_TRUE(c.create(records_, "b", R"({"n":1})").ok());
  Query q = where("n", Op::kEq, "1");
  q.filters.push_back(filter("m", Op::kHas, "true"));
  EXPECT_EQ(c.ids(records_, q), "a");
  q = where("m", Op::kHas, "false");
  q.filters.push_back(filter("n", Op::kEq, "2"));
  EXPECT_EQ(c.ids(records_, q), "");
}

TEST_P(StoreConformance, TombstonesHaveOnlyTheirMark) {
  Client c = client();
  ASSERT_TRUE(c.create(records_, "a", R"({"n":1})").ok());
  ASSERT_TRUE(c.create(records_, "b", R"({"n":1})").ok());
  ASSERT_TRUE(c.remove(records_, "a").ok());
  auto with = [](Query q) {
    q.include_deleted = true;
    return q;
  };
  EXPECT_EQ(c.ids(records_, with(where("n", Op::kEq, "1"))), "b");
  EXPECT_EQ(c.ids(records_, with(where("n", Op::kNot, "1"))), "a");
  EXPECT_EQ(c.ids(records_, with(where("deleted", Op::kEq, "true"))), "a");
  EXPECT_EQ(c.ids(records_, with(where("deleted", Op::kNot, "true"))), "b");
  EXPECT_EQ(c.ids(records_, with(where("deleted", Op::kHas, "false"))), "b");
  EXPECT_EQ(c.ids(records_, where("deleted", Op::kEq, "true")), "");
}

TEST_P(StoreConformance, PageRulesAreAlternatives) {
  Client c = client();
  for (int i = 0; i < 7; ++i) {
    std::string data = i == 6 ? "{}" : R"({"g":)" + std::to_string(i / 2) + "}";
    ASSERT_TRUE(c.create(records_, "r" + std::to_string(i), data, 1'000 + i).ok());
  }
  // Two rows a page, sorted by (g, -last_modified), as the API builds them.
  Query q;
  q.sort = {{"g", false}, {"last_modified", true}};
  q.limit = 2;
  EXPECT_EQ(c.ids(records_, q), "r1 r0");
  q.page_rules = {{filter("g", Op::kGt, "0")},
                  {filter("g", Op::kEq, "0"), filter("last_modified", Op::kLt, "1000")}};
  EXPECT_EQ(c.ids(records_, q), "r3 r2");
  q.page_rules = {{filter("g", Op::kGt, "2")},
                  {filter("g", Op::kEq, "2"), filter("last_modified", Op::kLt, "1005")}};
  EXPECT_EQ(c.ids(records_, q), "r4 r6");
  // After the object without the field: nothing is greater.
  Filter gt = filter("g", Op::kGt, "null");
  Filter eq = filter("g", Op::kEq, "null");
  gt.missing = eq.missing = true;
  q.page_rules = {{gt}, {eq, filter("last_modified", Op::kLt, "1006")}};
  EXPECT_EQ(c.ids(records_, q), "");
  // Downwards from it: everything that has the field.
  Filter lt = gt;
  lt.op = Op::kLt;
  q.sort = {{"g", true}, {"last_modified", true}};
  q.page_rules = {{lt}};
  q.limit = 3;
  EXPECT_EQ(c.ids(records_, q), "r5 r4 r3");
  // The default order.
  Query plain;
  plain.limit = 2;
  plain.page_rules = {{filter("last_modified", Op::kLt, "1003")}};
  EXPECT_EQ(c.ids(records_, plain), "r2 r1");
  EXPECT_EQ(c.count(records_, plain), 7U);
}

TEST_P(StoreConformance, MissingComparisons) {
  Client c = client();
  ASSERT_TRUE(c.create(records_, "with", R"({"g":null})").ok());
  ASSERT_TRUE(c.create(records_, "without").ok());
  auto rule = [&](Op op) {
    Query q;
    Filter f = filter("g", op, "null");
    f.missing = true;
    q.page_rules = {{f}};
    return c.ids(records_, q);
  };
  EXPECT_EQ(rule(Op::kEq), "without");
  EXPECT_EQ(rule(Op::kNot), "with");
  EXPECT_EQ(rule(Op::kLt), "with");
  EXPECT_EQ(rule(Op::kGt), "");
  EXPECT_EQ(rule(Op::kMin), "without");
  EXPECT_EQ(rule(Op::kMax), "without with");
}

}  // namespace godwit::store
