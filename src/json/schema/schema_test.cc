#include "json/schema/schema.h"

#include <gtest/gtest.h>

#include <string>

namespace godwit::json {
namespace {

std::string first(std::string_view schema_text, std::string_view instance_text) {
  Result<Value> document = parse(schema_text);
  if (!document.ok()) return "bad schema text";
  auto schema = Schema::compile(std::move(*document));
  if (!schema.ok()) return "compile: " + schema.error().message;
  Result<Value> instance = parse(instance_text);
  if (!instance.ok()) return "bad instance text";
  auto found = (*schema)->firstViolation(*instance);
  if (!found.ok()) return "error: " + found.error().message;
  return found->empty() ? "" : found->front().message;
}

std::string checked(std::string_view text) {
  Result<void> r = checkSchema(*parse(text));
  return r.ok() ? "" : r.error().message;
}

TEST(Schema, names_the_fault_the_way_python_jsonschema_does) {
  EXPECT_EQ(first(R"({"required":["title"]})", "{}"), "'title' is a required property");
  EXPECT_EQ(first(R"({"properties":{"size":{"type":"number"}}})", R"({"size":"hi!"})"),
            "'hi!' is not of type 'number'");
  EXPECT_EQ(first(R"({"additionalProperties":false})", R"({"extra":1})"),
            "Additional properties are not allowed ('extra' was unexpected)");
  EXPECT_EQ(
      first(R"({"additionalProperties":false,"properties":{"x":{}}})", R"({"b":1,"x":2,"a":3})"),
      "Additional properties are not allowed ('a', 'b' were unexpected)");
  EXPECT_EQ(first(R"({"enum":["a",1,null,true]})", "2.50"),
            "2.5 is not one of ['a', 1, None, True]");
  EXPECT_EQ(first(R"({"minLength":3})", R"("it's")"), "");
  EXPECT_EQ(first(R"({"maxLength":3})", R"("it's")"), "\"it's\" is too long");
  EXPECT_EQ(first(R"({"minimum":5})", "1e3"), "");
  EXPECT_EQ(first(R"({"minimum":5})", "4"), "4 is less than the minimum of 5");
  EXPECT_EQ(first(R"({"pattern":"^a+$"})", R"("b")"), "'b' does not match '^a+$'");
  EXPECT_EQ(first(R"({"not":{"type":"object"}})", "{}"),
            "{} should not be valid under {'type': 'object'}");
  EXPECT_EQ(first(R"({"maxProperties":1})", R"({"a":1,"b":[]})"),
            "{'a': 1, 'b': []} has too many properties");
  EXPECT_EQ(first(R"({"anyOf":[{"type":"string"},{"minimum":3}]})", "1"),
            "1 is not valid under any of the given schemas");
  EXPECT_EQ(first(R"({"type":["string","null"]})", "[]"), "[] is not of type 'string', 'null'");
  EXPECT_EQ(first("false", "1"), "False schema does not allow 1");
}

TEST(Schema, the_path_leads_to_the_fault) {
  auto schema = Schema::compile(*parse(R"({"properties":{"a":{"items":{"type":"integer"}}}})"));
  ASSERT_TRUE(schema.ok());
  auto found = (*schema)->firstViolation(*parse(R"({"a":[1,2,"x"]})"));
  ASSERT_EQ(found->size(), 1u);
  const Violation& v = found->front();
  ASSERT_EQ(v.path.size(), 2u);
  EXPECT_EQ(std::get<std::string>(v.path[0]), "a");
  EXPECT_EQ(std::get<std::size_t>(v.path[1]), 2u);
  EXPECT_EQ(v.keyword, "type");
  EXPECT_EQ(std::get<std::string>(v.schema_path.back()), "type");
}

TEST(Schema, a_schema_is_checked_before_it_is_stored) {
  EXPECT_EQ(checked(R"({"type":"object","properties":{"a":{"type":["string","null"]}}})"), "");
  EXPECT_EQ(checked(R"({"type":"Washmachine"})"),
            "type'Washmachine' is not valid under any of the given schemas");
  EXPECT_EQ(checked(R"({"minLength":-1})"), "minLength-1 is less than the minimum of 0");
  EXPECT_EQ(checked(R"({"required":"a"})"), "required'a' is not of type 'array'");
  EXPECT_NE(checked(R"({"properties":{"a":{"type":5}}})"), "");
}

TEST(Schema, references) {
  EXPECT_EQ(first(R"({"$ref":"#/$defs/a/b","$defs":{"a":{"b":{"type":"null"}}}})", "1"),
            "1 is not of type 'null'");
  EXPECT_EQ(first(R"({"$ref":"#/nowhere"})", "1"), "compile: Unresolvable JSON pointer: #/nowhere");
  EXPECT_EQ(first(R"({"$ref":"http://example.org/a.json"})", "1"),
            "compile: Unresolvable JSON pointer: http://example.org/a.json");
  EXPECT_NE(first(R"({"$ref":"http://json-schema.org/draft-07/schema#"})", R"({"type":1})"), "");
  EXPECT_EQ(first(R"({"$ref":"#"})", "1"), "error: schema is too complex to validate with");
}

TEST(Schema, hostile_input_costs_a_bounded_amount) {
  // Look-around needs backtracking: refused rather than run.
  EXPECT_TRUE(
      first(R"({"pattern":"(?=a)b"})", R"("b")").starts_with("compile: pattern cannot be used"));
  std::string a(1'000'000, 'a');
  EXPECT_EQ(first(R"({"pattern":"^(a+)+$"})", "\"" + a + "\""), "");
  EXPECT_NE(first(R"({"pattern":"^(a+)+$"})", "\"" + a + "!\""), "");
  // Doubles with every level: 2^60 steps if it were let.
  std::string defs;
  for (int i = 0; i < 60; ++i) {
    std::string next = "{\"$ref\":\"#/definitions/d" + std::to_string(i + 1) + "\"}";
    defs += "\"d" + std::to_string(i) + "\":{\"allOf\":[" + next + "," + next + "]},";
  }
  EXPECT_EQ(first("{\"$ref\":\"#/definitions/d0\",\"definitions\":{" + defs + "\"d60\":{}}}", "1"),
            "error: schema is too complex to validate with");
  std::string many = "[0";
  for (int i = 1; i < 100'000; ++i) many += "," + std::to_string(i);
  EXPECT_EQ(first(R"({"uniqueItems":true})", many + "]"), "");
  EXPECT_NE(first(R"({"uniqueItems":true})", many + ",5]"), "");
}

TEST(PythonRepr, prints_as_python_does) {
  auto repr = [](std::string_view text) { return pythonRepr(*parse(text)); };
  EXPECT_EQ(
      repr(R"(["a'b","q\"","both'\"",null,true,1.0,1e16,0.00001,-0.0,12345678901234567890])"),
      R"(["a'b", 'q"', 'both\'"', None, True, 1.0, 1e+16, 1e-05, -0.0, 12345678901234567890])");
  EXPECT_EQ(repr(R"("\n\u0000\u00e9\u200b\ud83d\udc26")"),
            "'\\n\\x00\xc3\xa9\\u200b\xf0\x9f\x90\xa6'");
  EXPECT_EQ(repr(R"({"k":[{}]})"), "{'k': [{}]}");
  EXPECT_LE(pythonRepr(Value(std::string(100'000, 'x'))).size(), 8195u);
}

}  // namespace
}  // namespace godwit::json
