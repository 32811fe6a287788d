// POST, PUT, PATCH and DELETE of objects; preconditions; timestamps.
#include "scenario_test.h"

namespace godwit::kinto {
namespace {

GODWIT_API_SUITE(Writes);

std::int64_t stamp(const Seen& seen) {
  json::Value body = seen.json();
  const json::Value* data = body.get("data");
  const json::Value* time = data ? data->get("last_modified") : nullptr;
  return time ? time->toInt().value_or(0) : 0;
}

std::string etag(std::int64_t t) { return "\"" + std::to_string(t) + "\""; }

TEST_P(Writes, PostMakesIds) {
  seed();
  Seen record = t.post(records, "mat", R"({"data":{"a":1}})");
  EXPECT_EQ(record.status, 201);
  EXPECT_EQ(record.at("/data/id").size(), 38u);  // a UUID in quotes
  EXPECT_EQ(t.post("/buckets", "mat").at("/data/id").size(), 10u);
  EXPECT_EQ(t.post(records, "mat", R"({"data":{"id":"a-simple-id"}})").at("/data/id"),
            "\"a-simple-id\"");
  EXPECT_EQ(record.header("ETag"), etag(stamp(record)));
  EXPECT_TRUE(record.has("Last-Modified"));
}

TEST_P(Writes, PostOfAnExistingIdAnswersWhatIsThere) {
  seed();
  Seen seen = t.post(records, "mat", R"({"data":{"id":"one","stars":8}})");
  EXPECT_EQ(seen.status, 200);
  EXPECT_EQ(seen.at("/data/stars"), "");
  EXPECT_EQ(seen.at("/data/name"), "\"Hulled\"");
  EXPECT_EQ(t.post(records, "eve", R"({"data":{"id":"one"}})").status, 200);  // may read
  EXPECT_EQ(t.post(records, "zoe", R"({"data":{"id":"one"}})").status, 403);
}

TEST_P(Writes, PutReplaces) {
  seed();
  Seen seen = t.put(one, "mat", R"({"data":{"b":2}})");
  EXPECT_EQ(seen.status, 200);
  EXPECT_EQ(seen.at("/data/name"), "");
  EXPECT_EQ(seen.at("/data/b"), "2");
  Seen kept = t.put(one, "mat", R"({"permissions":{"read":["x:y"]}})");
  EXPECT_EQ(kept.at("/data/b"), "2");
  EXPECT_EQ(t.put(one, "mat").at("/data/b"), "2");  // no body at all
  EXPECT_EQ(t.put(one, "mat", R"({"data":{}})").at("/data/b"), "");
  EXPECT_EQ(t.put("/buckets/catalog", "mat", "", {}).status, 201);
}

TEST_P(Writes, PermissionsOfPut) {
  t.put("/buckets/b", "mat",
        R"({"permissions":{"read":["a:a"],"collection:create":["b:b"],"write":["c:c"]}})");
  Seen same = t.put("/buckets/b", "mat", R"({"data":{}})");
  EXPECT_EQ(same.at("/permissions/read"), "[\"a:a\"]");
  Seen empty = t.put("/buckets/b", "mat", R"({"permissions":{}})");
  EXPECT_EQ(empty.at("/permissions/read"), "[\"a:a\"]");
  Seen named = t.put("/buckets/b", "mat", R"({"permissions":{"read":["d:d"]}})");
  EXPECT_EQ(named.at("/permissions/read"), "[\"d:d\"]");
  EXPECT_EQ(named.at("/permissions/collection:create"), "");
  EXPECT_EQ(named.at("/permissions/write"), "[\"" + t.userId("mat") + "\"]");
  EXPECT_EQ(t.get("/buckets/b", "mat").json(), named.json());
}

TEST_P(Writes, PatchKindsOfPermissions) {
  t.put("/buckets/b", "mat", R"({"permissions":{"read":["a:a"],"collection:create":["b:b"]}})");
  Seen plain =
      t.patch("/buckets/b", "mat", R"({"permissions":{"read":["c:c"],"group:create":null}})");
  EXPECT_EQ(plain.status, 200);
  EXPECT_EQ(plain.at("/permissions/read"), "[\"c:c\"]");
  EXPECT_EQ(plain.at("/permissions/collection:create"), "[\"b:b\"]");
  HeaderList merge = {{"Content-Type", "application/merge-patch+json"}};
  Seen merged =
      t.patch("/buckets/b", "mat", R"({"permissions":{"read":null,"write":["w:w"]}})", merge);
  EXPECT_EQ(merged.at("/permissions/read"), "");
  EXPECT_EQ(merged.at("/permissions/collection:create"), "[\"b:b\"]");
  EXPECT_NE(merged.at("/permissions/write").find("w:w"), std::string::npos);
  EXPECT_NE(merged.at("/permissions/write").find(t.userId("mat")), std::string::npos);
  EXPECT_EQ(t.get("/buckets/b", "mat").at("/permissions/read"), "");
}

TEST_P(Writes, PlainPatchIsShallow) {
  seed();
  t.put(one, "mat", R"({"data":{"grain":{"one":1},"a":1}})");
  Seen seen = t.patch(one, "mat", R"({"data":{"grain":{"two":2},"b":null}})");
  EXPECT_EQ(seen.at("/data/grain"), "{\"two\":2}");
  EXPECT_EQ(seen.at("/data/a"), "1");
  EXPECT_EQ(seen.at("/data/b"), "null");
  EXPECT_EQ(t.patch(one, "mat", "{}").at("/message"),
            "\"Provide at least one of data or permissions\"");
  EXPECT_EQ(t.patch(one, "mat", "").status, 400);
  EXPECT_EQ(t.patch(one, "mat", R"({"data":{}})").status, 200);
}

TEST_P(Writes, MergePatch) {
  seed();
  HeaderList merge = {{"Content-Type", "application/merge-patch+json"}};
  t.put(one, "mat", R"({"data":{"grain":{"one":1},"a":1}})");
  Seen seen = t.patch(one, "mat", R"({"data":{"grain":{"two":2},"a":null}})", merge);
  EXPECT_EQ(seen.at("/data/grain"), "{\"one\":1,\"two\":2}");
  EXPECT_EQ(seen.at("/data/a"), "");
  EXPECT_EQ(t.patch(one, "mat", R"({"data":{"grain":{"one":null}}})", merge).at("/data/grain"),
            "{\"two\":2}");
  EXPECT_EQ(t.patch(one, "mat", R"({"data":{"last_modified":null}})", merge).status, 400);
  EXPECT_EQ(t.patch(one, "mat", R"({"data":{"id":null,"c":1}})", merge).status, 200);
}

TEST_P(Writes, JsonPatch) {
  seed();
  HeaderList ops = {{"Content-Type", "application/json-patch+json"}};
  t.put(one, "mat", R"({"data":{"a":1},"permissions":{"read":["alice","carla"]}})");
  Seen seen = t.patch(one, "mat",
                      R"([{"op":"test","path":"/data/a","value":1},
                          {"op":"add","path":"/data/b","value":{"c":[]}},
                          {"op":"add","path":"/data/b/c/-","value":5},
                          {"op":"move","from":"/permissions/read/alice","path":"/data/old"},
                          {"op":"add","path":"/permissions/read/me"},
                          {"op":"remove","path":"/data/a"}])",
                      ops);
  EXPECT_EQ(seen.status, 200) << seen.body;
  EXPECT_EQ(seen.at("/data/b"), "{\"c\":[5]}");
  EXPECT_EQ(seen.at("/data/old"), "\"alice\"");
  EXPECT_EQ(seen.at("/data/a"), "");
  EXPECT_EQ(seen.at("/permissions/read"), "[\"carla\",\"me\"]");
  Seen replaced =
      t.patch(one, "mat", R"([{"op":"add","path":"/permissions/read","value":["x"]}])", ops);
  EXPECT_EQ(replaced.at("/permissions/read"), "[\"x\"]");
  const std::pair<const char*, const char*> bad[] = {
      {R"([{"op":"add","path":"/permissions/destroy/me"}])", "JSON Patch operation failed"},
      {R"([{"op":"add","path":"/permissions/destroy","value":["me"]}])",
       "JSON Patch operation failed"},
      {R"([{"op":"replace","path":"/data","value":5}])", "JSON Patch operation failed"},
      {R"([{"op":"test","path":"/data/old","value":"bob"}])", "JSON Patch operation failed"},
      {R"([{"op":"remove","path":"/data/nothing"}])", "JSON Patch operation failed"},
      {R"([{"op":"jump","path":"/data/a"}])", "is not one of test, add, remove"},
      {R"([{"op":"add","path":"data/a"}])",
       "0.path in body: String does not match expected pattern"},
      {R"([{"op":"add"}])", "0.path in body: Required"},
      {R"([{"op":"add","path":"/data/x","value":1,"foo":2}])", "Unrecognized keys in mapping"},
      {R"([5])", "is not a mapping type"},
      {R"({"data":{}})", "is not iterable"},
      {R"([{"op":"replace","path":"/data/id","value":"two"}])", "Object id does not match"},
  };
  std::string before = t.get(one, "mat").body;
  for (const auto& [body, message] : bad) {
    Seen refused = t.patch(one, "mat", body, ops);
    EXPECT_EQ(refused.status, 400) << body;
    EXPECT_NE(refused.at("/message").find(message), std::string::npos) << refused.body;
  }
  EXPECT_EQ(t.get(one, "mat").body, before);
  EXPECT_EQ(t.patch(one, "mat", "[]", {{"Content-Type", "text/plain"}}).status, 415);
}

TEST_P(Writes, ResponseBehavior) {
  seed();
  t.put(one, "mat", R"({"data":{"a":1,"b":2}})");
  auto patched = [&](const char* behavior, const char* body) {
    return t.patch(one, "mat", body, {{"Response-Behavior", behavior}});
  };
  EXPECT_EQ(patched("light", R"({"data":{"a":5,"b":2}})").at("/data"), "{\"a\":5}");
  EXPECT_EQ(patched("diff", R"({"data":{"a":6}})").body, "{\"data\":{}}");
  EXPECT_EQ(patched("full", R"({"data":{"a":7}})").at("/data/b"), "2");
  Seen bad = patched("none", R"({"data":{"a":8}})");
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(bad.at("/message"),
            "\"Response-Behavior in header: \\\"none\\\" is not one of full, light, diff\"");
}

TEST_P(Writes, AMegabyteOfAllOfUnicodeComesBackAsItWas) {
  seed();
  std::string text;
  for (std::size_t i = 0; text.size() < (std::size_t{1} << 20); ++i) {
    for (const char* each :
         {"plain ", "é", "e\u0301", "😀", "\u2028", "\xEF\xBF\xBF", "%_\\", "'\""}) {
      text += each;
    }
    text += std::to_string(i);
  }
  json::Value data = json::Value::object();
  data.asObject().set("text", json::Value(text));
  data.asObject().set("k\u00e9y \"' \n", json::Value(1));
  data.asObject().set("", json::Value(2));
  json::Value body = json::Value::object();
  body.asObject().set("data", std::move(data));
  ASSERT_EQ(t.put(one, "mat", json::dump(body)).status, 200);
  for (const std::string& path : {one, records + "?id=one"}) {
    json::Value seen = t.get(path, "mat").json();
    const json::Value* found = seen.get("data");
    if (found->isArray()) found = &found->asArray().at(0);
    EXPECT_TRUE(found->get("text")->asString() == text) << path;
    EXPECT_EQ(*found->get("k\u00e9y \"' \n"), json::Value(1));
    EXPECT_EQ(*found->get(""), json::Value(2));
  }
  EXPECT_EQ(t.patch(one, "mat", R"({"data":{"text":"short"}})").at("/data/text"), "\"short\"");
}

TEST_P(Writes, GroupsKeepTheirMembersInPatch) {
  seed();
  t.put("/buckets/beers/groups/g", "mat", R"({"data":{"members":["fxa:user"]}})");
  Seen seen = t.patch("/buckets/beers/groups/g", "mat", R"({"data":{"alias":"x"}})");
  EXPECT_EQ(seen.at("/data/members"), "[\"fxa:user\"]");
  EXPECT_EQ(
      t.patch("/buckets/beers/groups/g", "mat", R"({"permissions":{"write":["a:b"]}})").status,
      200);
}

TEST_P(Writes, DeleteLeavesATombstone) {
  seed();
  std::int64_t before = stamp(t.get(one, "mat"));
  Seen seen = t.del(one, "mat");
  EXPECT_EQ(seen.status, 200);
  EXPECT_EQ(seen.at("/data/deleted"), "true");
  EXPECT_GT(stamp(seen), before);
  EXPECT_EQ(seen.header("ETag"), etag(stamp(seen)));
  EXPECT_EQ(t.del(one, "mat").status, 404);
  EXPECT_EQ(t.get(one, "mat").status, 404);
  EXPECT_EQ(t.put(one, "mat", "{}", {{"If-None-Match", "*"}}).status, 201);
}

TEST_P(Writes, DeleteWithATimestamp) {
  seed();
  std::int64_t now = stamp(t.get(one, "mat"));
  EXPECT_EQ(t.del(one + "?last_modified=abc", "mat").status, 400);
  EXPECT_EQ(stamp(t.del(one + "?last_modified=" + std::to_string(now + 5000), "mat")), now + 5000);
  t.put(records + "/two", "mat");
  std::int64_t two = stamp(t.get(records + "/two", "mat"));
  EXPECT_GT(stamp(t.del(records + "/two?last_modified=" + std::to_string(two - 10), "mat")), two);
}

TEST_P(Writes, TimestampsOfClients) {
  seed();
  EXPECT_EQ(stamp(t.put(records + "/old", "mat", R"({"data":{"last_modified":123456}})")), 123456);
  std::int64_t list = std::stoll(t.get(records, "mat").header("ETag").substr(1));
  EXPECT_GT(list, 123456);
  EXPECT_GT(stamp(t.put(records + "/old", "mat", R"({"data":{"last_modified":123455}})")), list);
  EXPECT_GT(stamp(t.put(records + "/bad", "mat", R"({"data":{"last_modified":"abc"}})")), list);
  std::int64_t future = list + 1'000'000;
  std::string body = "{\"data\":{\"last_modified\":" + std::to_string(future) + "}}";
  EXPECT_EQ(stamp(t.put(records + "/new", "mat", body)), future);
  EXPECT_EQ(t.get(records, "mat").header("ETag"), etag(future));
  EXPECT_EQ(stamp(t.put(records + "/same", "mat", body)), future + 1);
  EXPECT_EQ(stamp(t.patch(records + "/new", "mat",
                          "{\"data\":{\"last_modified\":" + std::to_string(future + 50) + "}}")),
            future + 50);
  EXPECT_GT(stamp(t.patch(records + "/new", "mat", R"({"data":{"last_modified":"abc"}})")),
            future + 50);
  EXPECT_EQ(
      t.put(records + "/far", "mat", R"({"data":{"last_modified":9223372036854775807}})").status,
      201);
}

TEST_P(Writes, TimestampsIncreaseAndAreUnique) {
  seed();
  std::int64_t last = 0;
  for (int i = 0; i < 300; ++i) {
    std::int64_t now = stamp(t.post(records, "mat", "{}"));
    ASSERT_GT(now, last);
    last = now;
  }
}

TEST_P(Writes, ObjectPreconditions) {
  seed();
  std::int64_t now = stamp(t.get(one, "mat"));
  HeaderList same = {{"If-Match", etag(now)}};
  HeaderList other = {{"If-Match", etag(now - 1)}};
  HeaderList later = {{"If-Match", etag(now + 1)}};
  HeaderList star = {{"If-Match", "*"}};
  HeaderList none = {{"If-None-Match", "*"}};
  HeaderList unchanged = {{"If-None-Match", etag(now)}};
  Seen not_modified = t.get(one, "mat", unchanged);
  EXPECT_EQ(not_modified.status, 304);
  EXPECT_EQ(not_modified.body, "");
  EXPECT_EQ(not_modified.header("ETag"), etag(now));
  EXPECT_TRUE(not_modified.has("Last-Modified"));
  EXPECT_EQ(t.get(one, "mat", {{"If-None-Match", etag(now - 1)}}).status, 200);
  EXPECT_EQ(t.get(one, "mat", none).status, 412);
  EXPECT_EQ(t.get(one, "mat", star).status, 200);
  EXPECT_EQ(t.get(one, "mat", other).status, 412);
  Seen conflict = t.put(one, "mat", "{}", other);
  EXPECT_EQ(conflict.status, 412);
  EXPECT_EQ(conflict.at("/details/existing/id"), "\"one\"");
  EXPECT_EQ(conflict.header("ETag"), etag(now));
  EXPECT_EQ(t.put(one, "mat", "{}", later).status, 412);
  EXPECT_EQ(t.patch(one, "mat", R"({"data":{"a":1}})", other).status, 412);
  EXPECT_EQ(t.del(one, "mat", other).status, 412);
  EXPECT_EQ(t.put(one, "mat", "{}", none).status, 412);
  EXPECT_EQ(t.put(records + "/new", "mat", "{}", star).status, 412);
  EXPECT_EQ(t.put(records + "/new", "mat", "{}", same).status, 412);
  EXPECT_EQ(t.put(records + "/new", "mat", "{}", none).status, 201);
  EXPECT_EQ(t.post(records, "mat", R"({"data":{"id":"new"}})", none).status, 412);
  EXPECT_EQ(t.post(records, "mat", R"({"data":{"id":"fresh"}})", none).status, 201);
  EXPECT_EQ(t.post(records, "mat", R"({"data":{"id":"one"}})", star).status, 200);
  EXPECT_EQ(t.patch(one, "mat", R"({"data":{"a":1}})", same).status, 200);
  EXPECT_EQ(t.del(one, "mat", star).status, 200);
  EXPECT_EQ(t.put(one, "mat", "{}", same).status, 412);  // deleted meanwhile
}

TEST_P(Writes, ListPreconditions) {
  seed();
  std::string now = t.get(records, "mat").header("ETag");
  EXPECT_EQ(t.get(records, "mat", {{"If-None-Match", now}}).status, 304);
  EXPECT_EQ(t.send("HEAD", records, "mat", "", {{"If-None-Match", now}}).status, 304);
  EXPECT_EQ(t.get(records, "mat", {{"If-Match", now}}).status, 200);
  Seen changed = t.get(records, "mat", {{"If-Match", "\"123\""}});
  EXPECT_EQ(changed.status, 412);
  EXPECT_EQ(changed.at("/details"), "");
  EXPECT_EQ(changed.header("ETag"), now);
  EXPECT_EQ(t.get(records, "mat", {{"If-None-Match", "*"}}).status, 412);
  EXPECT_EQ(t.del(records, "mat", {{"If-None-Match", "*"}}).status, 412);
  EXPECT_EQ(t.get(records, "mat", {{"If-Match", "*"}}).status, 200);
  EXPECT_EQ(t.post(records, "mat", "{}", {{"If-Match", "\"123\""}}).status, 412);
  EXPECT_EQ(t.del(records, "mat", {{"If-Match", "\"123\""}}).status, 412);
  EXPECT_EQ(t.del(records, "mat", {{"If-Match", now}}).status, 200);
}

TEST_P(Writes, MalformedPreconditions) {
  seed();
  for (const char* value : {"abc", "123", "\"abc\"", "W/\"123\"", "\"1\",\"2\"", "*x", "\"*\""}) {
    for (const char* name : {"If-Match", "If-None-Match"}) {
      Seen seen = t.get(one, "mat", {{name, value}});
      EXPECT_EQ(seen.status, 400) << name << ": " << value;
      EXPECT_EQ(seen.at("/message"),
                "\"" + std::string(name) +
                    " in header: The value should be integer between double quotes.\"");
    }
  }
  EXPECT_EQ(t.get(one, "mat", {{"If-Match", "\"99999999999999999999999\""}}).status, 412);
}

}  // namespace
}  // namespace godwit::kinto
