#include "base/options.h"

#include <gtest/gtest.h>

#include <array>

#include "base/text.h"

namespace godwit {
namespace {

TEST(Options, parse_values) {
  EXPECT_EQ(parseInt(" +42 "), 42);
  EXPECT_EQ(parseInt("+-42"), std::nullopt);
  EXPECT_EQ(parseInt("4.0"), std::nullopt);
  EXPECT_EQ(parseInt("99999999999999999999"), std::nullopt);
  EXPECT_EQ(parseNumber("0.5"), 0.5);
  EXPECT_EQ(parseNumber("nan"), std::nullopt);
  EXPECT_EQ(splitWords(" a\n\tb  c "), (std::vector<std::string>{"a", "b", "c"}));
}

TEST(Options, say_why_a_value_cannot_be) {
  OptionDef o;
  o.type = OptionType::kInt;
  o.min = 0;
  o.max = 65535;
  EXPECT_EQ(whyNot(o, "8888"), "");
  EXPECT_EQ(whyNot(o, ""), "");
  EXPECT_EQ(whyNot(o, "many"), "is not a whole number");
  EXPECT_EQ(whyNot(o, "70000"), "is not between 0 and 65535");
  o = OptionDef();
  o.type = OptionType::kDuration;
  o.min = 1;
  o.unit = "s";
  EXPECT_EQ(whyNot(o, "500ms"), "is below 1 s");
  EXPECT_EQ(whyNot(o, "soon"), "is not a duration (hint: 500ms, 30s, 5m, 2h)");
  o = OptionDef();
  o.type = OptionType::kChoice;
  o.choices = "text json";
  EXPECT_EQ(whyNot(o, "xml"), "is not one of text, json");
}

TEST(Options, patterns_match_names_without_dots) {
  EXPECT_TRUE(matchesPattern("policy.{name}.use", "policy.a-b_c.use"));
  EXPECT_FALSE(matchesPattern("policy.{name}.use", "policy.a.b.use"));
  EXPECT_FALSE(matchesPattern("policy.{name}.use", "policy..use"));
  EXPECT_TRUE(matchesPattern("policy.{name}.{any}", "policy.a.b.c"));
  EXPECT_TRUE(
      matchesPattern("{plural|object}_{bucket|record}_get_enabled", "object_record_get_enabled"));
  EXPECT_FALSE(
      matchesPattern("{plural|object}_{bucket|record}_get_enabled", "object_recrod_get_enabled"));
  EXPECT_TRUE(matchesPattern("{bucket}.{collection}.x", "a.b_c.x"));
}

TEST(Options, patterns_are_found_in_variable_names) {
  EXPECT_EQ(
      keyFromEnvironment("multiauth.policy.{name}.client_id", "MULTIAUTH_POLICY_GOOGLE_CLIENT_ID"),
      "multiauth.policy.google.client_id");
  EXPECT_EQ(keyFromEnvironment("{bucket|user-data}_{read|delete}_principals",
                               "USER_DATA_DELETE_PRINCIPALS"),
            "user-data_delete_principals");
  EXPECT_EQ(keyFromEnvironment("{bucket|record}_{read|write}_principals", "BUCKET_SING_PRINCIPALS"),
            std::nullopt);
  EXPECT_EQ(keyFromEnvironment("a.{x}.b", "A__B"), std::nullopt);
}

TEST(Options, find_what_was_meant) {
  constexpr std::array<std::string_view, 4> kKeys = {"readonly", "paginate_by", "backoff",
                                                     "batch_max_requests"};
  EXPECT_EQ(nearest("readonyl", kKeys), "readonly");
  EXPECT_EQ(nearest("pagniate_by", kKeys), "paginate_by");
  EXPECT_EQ(nearest("batch_max_request", kKeys), "batch_max_requests");
  EXPECT_EQ(nearest("something_else_entirely", kKeys), "");
  constexpr std::array<std::string_view, 2> kShort = {"eos", "add"};
  EXPECT_EQ(nearest("ad", kShort), "add");
  EXPECT_EQ(nearest("foo", kShort), "");
  EXPECT_EQ(nearest("", kShort), "");
  EXPECT_EQ(editDistance("ab", "ba", 5), 1u);
  EXPECT_EQ(editDistance("abc", "", 2), 3u);
}

TEST(Options, passwords_in_urls_are_masked) {
  EXPECT_EQ(maskUrl("postgresql://user:s3cret@host:5432/db"), "postgresql://user:***@host:5432/db");
  EXPECT_EQ(maskUrl("redis://:pw@h/0 and http://h/x?a:b@c"),
            "redis://:***@h/0 and http://h/x?a:b@c");
  EXPECT_EQ(maskUrl("plain"), "plain");
}

}  // namespace
}  // namespace godwit
