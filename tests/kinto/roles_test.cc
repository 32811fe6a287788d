// Every endpoint, method and role: who gets which status.
#include "scenario_test.h"

namespace godwit::kinto {
namespace {

GODWIT_API_SUITE(Roles);

struct Row {
  const char* method;
  const char* path;
  const char* body;
  int guest, stranger, reader, writer, owner;
};

// Each cell runs on a fresh, seeded API.
const Row kRows[] = {
    // bucket list: open to who may create buckets
    {"GET", "/buckets", "", 401, 200, 200, 200, 200},
    {"HEAD", "/buckets", "", 401, 200, 200, 200, 200},
    {"POST", "/buckets", "{}", 401, 201, 201, 201, 201},
    {"DELETE", "/buckets", "", 401, 200, 200, 200, 200},  // only what is theirs goes
    {"PUT", "/buckets", "{}", 405, 405, 405, 405, 405},
    {"PATCH", "/buckets", "{}", 405, 405, 405, 405, 405},
    // bucket
    {"GET", "/buckets/beers", "", 401, 403, 200, 200, 200},
    {"HEAD", "/buckets/beers", "", 401, 403, 200, 200, 200},
    {"PUT", "/buckets/beers", "{}", 401, 403, 403, 200, 200},
    {"PATCH", "/buckets/beers", R"({"data":{"a":1}})", 401, 403, 403, 200, 200},
    {"DELETE", "/buckets/beers", "", 401, 403, 403, 200, 200},
    {"POST", "/buckets/beers", "{}", 405, 405, 405, 405, 405},
    {"PUT", "/buckets/fresh", "{}", 401, 201, 201, 201, 201},
    {"GET", "/buckets/fresh", "", 401, 403, 403, 403, 403},
    // collections
    {"GET", "/buckets/beers/collections", "", 401, 403, 200, 200, 200},
    {"HEAD", "/buckets/beers/collections", "", 401, 403, 200, 200, 200},
    {"POST", "/buckets/beers/collections", "{}", 401, 403, 403, 201, 201},
    {"DELETE", "/buckets/beers/collections", "", 401, 403, 403, 200, 200},
    {"GET", "/buckets/beers/collections/barley", "", 401, 403, 200, 200, 200},
    {"PUT", "/buckets/beers/collections/barley", "{}", 401, 403, 403, 200, 200},
    {"PATCH", "/buckets/beers/collections/barley", R"({"data":{"a":1}})", 401, 403, 403, 200, 200},
    {"DELETE", "/buckets/beers/collections/barley", "", 401, 403, 403, 200, 200},
    {"GET", "/buckets/beers/collections/none", "", 401, 403, 404, 404, 404},
    // groups
    {"GET", "/buckets/beers/groups", "", 401, 403, 200, 200, 200},
    {"POST", "/buckets/beers/groups", R"({"data":{"members":[]}})", 401, 403, 403, 201, 201},
    {"PUT", "/buckets/beers/groups/g", "", 401, 403, 403, 201, 201},
    {"DELETE", "/buckets/beers/groups", "", 401, 403, 403, 200, 200},
    {"DELETE", "/buckets/beers/groups/none", "", 401, 403, 404, 404, 404},
    {"PATCH", "/buckets/beers/groups/none", R"({"data":{"a":1}})", 401, 403, 404, 404, 404},
    // records
    {"GET", "/buckets/beers/collections/barley/records", "", 401, 403, 200, 200, 200},
    {"HEAD", "/buckets/beers/collections/barley/records", "", 401, 403, 200, 200, 200},
    {"POST", "/buckets/beers/collections/barley/records", "{}", 401, 403, 403, 201, 201},
    {"DELETE", "/buckets/beers/collections/barley/records", "", 401, 403, 403, 200, 200},
    {"GET", "/buckets/beers/collections/barley/records/one", "", 401, 403, 200, 200, 200},
    {"HEAD", "/buckets/beers/collections/barley/records/one", "", 401, 403, 200, 200, 200},
    {"PUT", "/buckets/beers/collections/barley/records/one", "{}", 401, 403, 403, 200, 200},
    {"PUT", "/buckets/beers/collections/barley/records/two", "{}", 401, 403, 403, 201, 201},
    {"PATCH", "/buckets/beers/collections/barley/records/one", R"({"data":{"a":1}})", 401, 403, 403,
     200, 200},
    {"DELETE", "/buckets/beers/collections/barley/records/one", "", 401, 403, 403, 200, 200},
    {"GET", "/buckets/beers/collections/barley/records/none", "", 401, 403, 404, 404, 404},
    {"PATCH", "/buckets/beers/collections/barley/records/none", R"({"data":{}})", 401, 403, 404,
     404, 404},
    {"DELETE", "/buckets/beers/collections/barley/records/none", "", 401, 403, 404, 404, 404},
    {"GET", "/buckets/beers/collections/none/records", "", 401, 403, 404, 404, 404},
    {"POST", "/buckets/beers/collections/none/records", "{}", 404, 404, 404, 404, 404},
    {"PUT", "/buckets/beers/collections/none/records/x", "{}", 404, 404, 404, 404, 404},
    {"POST", "/buckets/beers/collections/barley/records/one", "{}", 405, 405, 405, 405, 405},
    // utilities
    {"GET", "/", "", 200, 200, 200, 200, 200},
    {"HEAD", "/", "", 200, 200, 200, 200, 200},
    {"POST", "/", "", 405, 405, 405, 405, 405},
    {"GET", "/__heartbeat__", "", 200, 200, 200, 200, 200},
    {"GET", "/__lbheartbeat__", "", 200, 200, 200, 200, 200},
    {"GET", "/contribute.json", "", 200, 200, 200, 200, 200},
    {"GET", "/__version__", "", 500, 500, 500, 500, 500},  // there is no version.json here
    {"POST", "/batch", R"({"requests":[]})", 200, 200, 200, 200, 200},
    {"GET", "/batch", "", 405, 405, 405, 405, 405},
    {"HEAD", "/batch", "", 405, 405, 405, 405, 405},
    {"GET", "/unknown", "", 404, 404, 404, 404, 404},
};

TEST_P(Roles, EveryEndpointMethodAndRole) {
  Config config = TestApp::basicConfig();
  config.version_json_path = "/nonexistent/version.json";
  for (const Row& row : kRows) {
    const std::pair<const char*, int> roles[] = {{"", row.guest},
                                                 {"stranger", row.stranger},
                                                 {"eve", row.reader},
                                                 {"bob", row.writer},
                                                 {"mat", row.owner}};
    for (const auto& [who, status] : roles) {
      auto api = withConfig(config);
      seedBeers(*api);
      Seen seen = api->send(row.method, row.path, who, row.body);
      EXPECT_EQ(seen.status, status)
          << row.method << " " << row.path << " as '" << who << "': " << seen.body;
      if (seen.status == 401) {
        EXPECT_EQ(seen.header("WWW-Authenticate"), "Basic realm=\"Realm\"");
        EXPECT_EQ(seen.body.find("Hulled"), std::string::npos);
      }
    }
  }
}

TEST_P(Roles, ReadersSeeNoPermissions) {
  seed();
  EXPECT_EQ(t.get("/buckets/beers", "eve").at("/permissions"), "{}");
  EXPECT_NE(t.get("/buckets/beers", "mat").at("/permissions/write"), "");
  // Writing through the bucket gives no entry on the record itself.
  EXPECT_EQ(t.get(one, "bob").at("/permissions"), "{}");
}

TEST_P(Roles, CreatorIsAddedToWriters) {
  Seen seen = t.put("/buckets/b", "mat", R"({"permissions":{"write":["basicauth:x"]}})");
  json::Value body = seen.json();
  std::string writers = seen.at("/permissions/write");
  EXPECT_NE(writers.find(t.userId("mat")), std::string::npos);
  EXPECT_NE(writers.find("basicauth:x"), std::string::npos);
}

TEST_P(Roles, WithoutExplicitPermissionsNobodyIsAdded) {
  Config config = TestApp::basicConfig();
  config.explicit_permissions = false;
  auto api = withConfig(config);
  api->put("/buckets/write", "mat", R"({"permissions":{"write":["system.Authenticated"]}})");
  api->put("/buckets/write/collections/test", "alice",
           R"({"permissions":{"write":["system.Authenticated"]}})");
  Seen seen = api->put("/buckets/write/collections/test/records/1", "alice",
                       R"({"permissions":{"write":["system.Authenticated"],"read":["ldap:x"]}})");
  EXPECT_EQ(seen.status, 201);
  EXPECT_EQ(seen.at("/permissions/write"), "[\"system.Authenticated\"]");
  EXPECT_EQ(seen.at("/permissions/read"), "[\"ldap:x\"]");
  EXPECT_EQ(api->get("/buckets/write/collections/test/records/1", "alice").status, 200);
}

TEST_P(Roles, GroupMembersHaveWhatTheGroupHas) {
  seed();
  std::string group = "{\"data\":{\"members\":[\"" + t.userId("aaron") + "\"]}}";
  ASSERT_EQ(t.put("/buckets/beers/groups/brewers", "mat", group).status, 201);
  ASSERT_EQ(
      t.patch(one, "mat", R"({"permissions":{"read":["/buckets/beers/groups/brewers"]}})").status,
      200);
  EXPECT_EQ(t.get(one, "aaron").status, 200);
  EXPECT_NE(t.get("/", "aaron").body.find("\"/buckets/beers/groups/brewers\""), std::string::npos);
  EXPECT_EQ(t.put("/buckets/beers/groups/brewers", "mat", R"({"data":{"members":[]}})").status,
            200);
  EXPECT_EQ(t.get(one, "aaron").status, 403);
  EXPECT_EQ(t.patch("/buckets/beers/groups/brewers", "mat", group).status, 200);
  EXPECT_EQ(t.get(one, "aaron").status, 200);
  EXPECT_EQ(t.del("/buckets/beers/groups/brewers", "mat").status, 200);
  EXPECT_EQ(t.get(one, "aaron").status, 403);
  // Made again, the group is empty.
  EXPECT_EQ(t.put("/buckets/beers/groups/brewers", "mat", "{}").status, 201);
  EXPECT_EQ(t.get(one, "aaron").status, 403);
}

TEST_P(Roles, GroupsOfADeletedBucketAreForgotten) {
  seed();
  std::string group = "{\"data\":{\"members\":[\"" + t.userId("aaron") + "\"]}}";
  t.put("/buckets/beers/groups/g", "mat", group);
  t.del("/buckets/beers", "mat");
  t.put("/buckets/beers", "mat", R"({"permissions":{"read":["/buckets/beers/groups/g"]}})");
  EXPECT_EQ(t.get("/buckets/beers", "aaron").status, 403);
}

TEST_P(Roles, EverybodyLoggedInCanBeAMember) {
  seed();
  t.put("/buckets/beers/groups/all", "mat", R"({"data":{"members":["system.Authenticated"]}})");
  t.patch(one, "mat", R"({"permissions":{"read":["/buckets/beers/groups/all"]}})");
  EXPECT_EQ(t.get(one, "anyone").status, 200);
  EXPECT_EQ(t.get(one).status, 401);
}

TEST_P(Roles, ListsShowWhatIsSharedOnly) {
  seed();
  t.put(records + "/two", "mat", "{\"permissions\":{\"read\":[\"" + t.userId("zoe") + "\"]}}");
  Seen list = t.get(records, "zoe");
  EXPECT_EQ(list.status, 200);
  EXPECT_EQ(list.at("/data/0/id"), "\"two\"");
  EXPECT_EQ(list.at("/data/1"), "");
  EXPECT_EQ(t.send("HEAD", records, "zoe").header("Total-Objects"), "1");
  EXPECT_EQ(t.del(records, "zoe").status, 403);  // read is not enough
  t.patch(records + "/two", "mat", "{\"permissions\":{\"write\":[\"" + t.userId("zoe") + "\"]}}");
  Seen deleted = t.del(records, "zoe");
  EXPECT_EQ(deleted.status, 200);
  EXPECT_EQ(deleted.at("/data/0/id"), "\"two\"");
  EXPECT_EQ(t.get(one, "mat").status, 200);
}

TEST_P(Roles, WhoMayCreateChildrenMaySeeTheParentAndAnEmptyList) {
  std::string bob = t.userId("bob");
  t.put("/buckets/beer", "mat", "{\"permissions\":{\"collection:create\":[\"" + bob + "\"]}}");
  t.put("/buckets/beer/collections/wheat", "mat");
  t.put("/buckets/beer/collections/barley", "bob",
        "{\"permissions\":{\"record:create\":[\"" + t.userId("alice") + "\"]}}");
  EXPECT_EQ(t.get("/buckets/beer", "bob").status, 200);
  EXPECT_EQ(t.get("/buckets/beer/collections/barley", "alice").status, 200);
  EXPECT_EQ(t.get("/buckets/beer", "jean").status, 403);
  EXPECT_EQ(t.get("/buckets/beer/collections/barley", "jean").status, 403);
  Seen collections = t.get("/buckets/beer/collections", "bob");
  EXPECT_EQ(collections.at("/data/0/id"), "\"barley\"");
  EXPECT_EQ(collections.at("/data/1"), "");
  Seen empty = t.get("/buckets/beer/collections/barley/records", "alice");
  EXPECT_EQ(empty.status, 200);
  EXPECT_EQ(empty.body, "{\"data\":[]}");
  EXPECT_EQ(t.get("/buckets/beer/collections", "jean").status, 403);
  EXPECT_EQ(t.get("/buckets/beer/collections/barley/records", "jean").status, 403);
}

TEST_P(Roles, SafeCreationTellsThatItExistsToWhoMayCreate) {
  const std::string auth = "[\"system.Authenticated\"]";
  for (const char* p : {"create", "write", "read"}) {
    std::string permission = std::string(p) == "create" ? "group:create" : p;
    t.put("/buckets/" + std::string(p), "alice",
          "{\"permissions\":{\"" + permission + "\":" + auth + "}}");
    t.put("/buckets/" + std::string(p) + "/groups/child", "alice");
  }
  HeaderList safe = {{"If-None-Match", "*"}};
  const std::string child = R"({"data":{"id":"child","members":[]}})";
  EXPECT_EQ(t.get("/buckets/create/groups/child", "bob").status, 403);
  EXPECT_EQ(t.put("/buckets/create/groups/child", "bob", "{}", safe).status, 412);
  EXPECT_EQ(t.put("/buckets/write/groups/child", "bob", "{}", safe).status, 412);
  EXPECT_EQ(t.put("/buckets/read/groups/child", "bob", "{}", safe).status, 403);
  EXPECT_EQ(t.post("/buckets/write/groups", "bob", child, safe).status, 412);
  EXPECT_EQ(t.post("/buckets/read/groups", "bob", child, safe).status, 412);
  EXPECT_EQ(t.post("/buckets/create/groups", "bob", child, safe).status, 403);
  EXPECT_EQ(t.del("/buckets/read/groups/g1", "bob").status, 404);
}

TEST_P(Roles, SettingsGrantBesideWhatIsStored) {
  Config config = TestApp::basicConfig();
  config.principals["bucket_create_principals"] = {"system.Everyone"};
  config.principals["record_read_principals"] = {"system.Everyone"};
  config.principals["collection_create_principals"] = {t.userId("carl")};
  config.principals["group_write_principals"] = {"/buckets/beers/groups/admins"};
  auto api = withConfig(config);
  seedBeers(*api);
  EXPECT_EQ(api->put("/buckets/open", "").status, 201);
  EXPECT_EQ(api->get(one).status, 200);
  EXPECT_EQ(api->get(records).status, 200);
  EXPECT_EQ(api->get("/buckets/beers/collections/barley").status, 401);
  EXPECT_EQ(api->put("/buckets/beers/collections/new", "carl").status, 201);
  EXPECT_EQ(api->get("/buckets/beers/collections", "carl").status, 200);
  api->put("/buckets/beers/groups/admins", "mat",
           "{\"data\":{\"members\":[\"" + api->userId("ada") + "\"]}}");
  EXPECT_EQ(api->patch("/buckets/beers/groups/admins", "ada", R"({"data":{"x":1}})").status, 200);
}

TEST_P(Roles, AnonymousCreatorIsEveryone) {
  Config config = TestApp::basicConfig();
  config.principals["bucket_create_principals"] = {"system.Everyone"};
  auto api = withConfig(config);
  EXPECT_EQ(api->put("/buckets/open", "").at("/permissions/write"), "[\"system.Everyone\"]");
}

TEST_P(Roles, UnknownParentsAreNoPatterns) {
  Config config = TestApp::basicConfig();
  for (const char* key : {"bucket_write_principals", "collection_write_principals",
                          "collection_read_principals", "record_write_principals"}) {
    config.principals[key] = {t.userId("root")};
  }
  auto api = withConfig(config);
  seedBeers(*api);
  EXPECT_EQ(api->del("/buckets/*/collections", "root").status, 404);
  EXPECT_EQ(api->del("/buckets/beers/collections/*/records", "root").status, 404);
  EXPECT_EQ(api->get(one, "mat").status, 200);
}

}  // namespace
}  // namespace godwit::kinto
