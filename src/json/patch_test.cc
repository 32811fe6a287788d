#include "json/patch.h"

#include <gtest/gtest.h>

namespace godwit::json {
namespace {

Value read(std::string_view text) { return *parse(text); }

std::string patched(std::string_view doc, std::string_view ops) {
  auto r = applyPatch(read(doc), read(ops));
  return r.ok() ? dump(*r) : r.error().message;
}

TEST(JsonPatch, applies_operations_in_order) {
  EXPECT_EQ(patched(R"({"a":[1,2]})", R"([{"op":"add","path":"/a/1","value":9},
      {"op":"add","path":"/a/-","value":8},{"op":"remove","path":"/a/0"},
      {"op":"copy","from":"/a","path":"/b"},{"op":"move","from":"/a/0","path":"/c"},
      {"op":"replace","path":"/b/0","value":null},{"op":"test","path":"/c","value":9.0}])"),
            R"({"a":[2,8],"b":[null,2,8],"c":9})");
  EXPECT_EQ(patched("{}", R"([{"op":"add","path":"","value":[1]}])"), "[1]");
  EXPECT_EQ(patched(R"({"a/b":{"m~n":1}})", R"([{"op":"remove","path":"/a~1b/m~0n"}])"),
            R"({"a/b":{}})");
}

TEST(JsonPatch, says_which_operation_failed) {
  EXPECT_EQ(patched("{}", R"([{"op":"add","path":"/a","value":1},{"op":"remove","path":"/b"}])"),
            "operation 1: member 'b' does not exist");
  EXPECT_EQ(patched("{}", R"([{"op":"sing","path":"/a"}])"),
            "operation 0: unknown operation 'sing'");
  EXPECT_EQ(patched("[]", R"([{"op":"add","path":"/1","value":1}])"),
            "operation 0: array index is out of bounds");
  EXPECT_EQ(patched("[1]", R"([{"op":"remove","path":"/00"}])"),
            "operation 0: '00' is not an array index");
  EXPECT_EQ(patched("{}", R"([{"op":"add","path":"a","value":1}])"),
            "operation 0: pointer does not start with '/'");
  EXPECT_EQ(patched("{}", R"([{"op":"add","path":"/~2","value":1}])"),
            "operation 0: pointer holds '~' that is not '~0' or '~1'");
  EXPECT_EQ(patched(R"({"a":{"b":1}})", R"([{"op":"move","from":"/a","path":"/a/b/c"}])"),
            "operation 0: a value cannot be moved into itself");
  EXPECT_EQ(patched("{}", R"([3])"), "operation 0: is not an object");
  EXPECT_EQ(patched("{}", R"({})"), "a patch is an array of operations");
}

TEST(JsonPatch, cannot_grow_without_bound) {
  std::string doubling = "[";
  for (int i = 0; i < 60; ++i) doubling += R"({"op":"copy","from":"/a","path":"/a/-"},)";
  doubling.back() = ']';
  EXPECT_NE(patched(R"({"a":["x"]})", doubling).find("too"), std::string::npos);

  std::string deeper = "[";
  for (int i = 0; i < 100; ++i) deeper += R"({"op":"copy","from":"","path":"/a/a/a/a/a"},)";
  deeper.back() = ']';
  EXPECT_NE(patched(R"({"a":{"a":{"a":{"a":{}}}}})", deeper).find("too"), std::string::npos);

  std::string many = "[";
  for (int i = 0; i < 10'001; ++i) many += R"({"op":"test","path":"","value":{}},)";
  many.back() = ']';
  EXPECT_EQ(patched("{}", many), "a patch has at most 10000 operations");
}

TEST(JsonMergePatch, follows_the_examples_of_rfc_7396) {
  const char* cases[][3] = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
      {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
      {R"({"a":"foo"})", "null", "null"},
      {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
      {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"}};
  for (auto& [target, patch, result] : cases) {
    EXPECT_EQ(dump(applyMergePatch(read(target), read(patch))), result) << patch;
  }
}

TEST(JsonMergePatch, removes_many_members_in_one_pass) {
  Value target = Value::object();
  Value patch = Value::object();
  for (int i = 0; i < 100'000; ++i) {
    target.asObject().set("k" + std::to_string(i), i);
    if (i != 500) patch.asObject().set("k" + std::to_string(i), nullptr);
  }
  EXPECT_EQ(dump(applyMergePatch(std::move(target), patch)), R"({"k500":500})");
}

TEST(JsonPointer, resolves_or_not) {
  Value v = read(R"({"a":{"":[10,20]},"~/":1})");
  EXPECT_EQ(resolvePointer(v, "/a//1")->toInt(), 20);
  EXPECT_EQ(resolvePointer(v, "/~0~1")->toInt(), 1);
  EXPECT_EQ(resolvePointer(v, ""), &v);
  for (const char* nowhere : {"/a//2", "/a//-", "/b", "a", "/a//01", "/~", "/~0~1/x"}) {
    EXPECT_EQ(resolvePointer(v, nowhere), nullptr) << nowhere;
  }
}

}  // namespace
}  // namespace godwit::json
