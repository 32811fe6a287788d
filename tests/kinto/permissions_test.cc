// What a user may do where: the list of permissions, and a user's data taken away.
#include "kinto/plugins/catalog.h"
#include "scenario_test.h"

namespace godwit::kinto {
namespace {

class PermissionsList : public testing::TestWithParam<std::string> {
 protected:
  PermissionsList() {
    Config config = TestApp::basicConfig();
    config.raw["experimental_permissions_endpoint"] = "true";
    config.raw["includes"] = "flush";
    config.principals["user-data_delete_principals"] = {"system.Authenticated"};
    t = std::make_unique<TestApp>(config, GetParam(), choosePlugins(config));
    seedBeers(*t);
  }
  // "uri permission+permission ..." in the order of the answer.
  std::string granted(const std::string& query, std::string_view as) {
    Seen seen = t->get("/permissions" + query, as);
    json::Value body = seen.json();
    const json::Value* data = body.get("data");
    if (!data || !data->isArray()) return seen.body;
    std::string out;
    for (const json::Value& e : data->asArray()) {
      out += (out.empty() ? "" : " ") + e.get("uri")->asString();
      char mark = ' ';
      for (const json::Value& p : e.get("permissions")->asArray()) {
        out += mark + p.asString();
        mark = '+';
      }
    }
    return out;
  }
  std::unique_ptr<TestApp> t;
};
GODWIT_ON_EACH(PermissionsList, TestApp::backends());

TEST_P(PermissionsList, names_what_was_granted_to_the_user_and_his_groups) {
  EXPECT_EQ(granted("?_sort=uri", "eve"), "/ bucket:create /buckets/beers read+read:attributes");
  t->put("/buckets/beers/groups/g", "mat", R"({"data":{"members":[")" + t->userId("zoe") + "\"]}}");
  EXPECT_EQ(granted("?_sort=uri", "zoe"), "/ bucket:create");
  t->patch("/buckets/beers/collections/barley", "mat",
           R"({"permissions":{"record:create":["/buckets/beers/groups/g"]}})");
  EXPECT_EQ(granted("?_sort=uri", "zoe"),
            "/ bucket:create /buckets/beers/collections/barley read:attributes+record:create");
  t->del("/buckets/beers/groups/g", "mat");
  EXPECT_EQ(granted("?_sort=uri", "zoe"), "/ bucket:create");
  EXPECT_EQ(granted("", ""), "");
}

TEST_P(PermissionsList, filters_sorting_pages_and_totals) {
  EXPECT_EQ(granted("?resource_name=record", "mat"),
            "/buckets/beers/collections/barley/records/one read+write");
  EXPECT_EQ(granted("?bucket_id=beers&_sort=-uri&_limit=1", "mat"),
            "/buckets/beers/collections/barley/records/one read+write");
  EXPECT_EQ(granted("?like_uri=*barley&_sort=uri", "mat").substr(0, 33),
            "/buckets/beers/collections/barley");
  EXPECT_EQ(t->send("HEAD", "/permissions", "mat").header("Total-Objects"), "4");
  Seen page = t->get("/permissions?_limit=3&_sort=uri", "mat");
  std::string next = page.header("Next-Page");
  ASSERT_NE(next, "");
  EXPECT_EQ(t->get(next.substr(next.find("/permissions")), "mat").at("/data/0/uri"),
            "\"/buckets/beers/collections/barley/records/one\"");
  EXPECT_EQ(t->get("/permissions?nosuch=1", "mat").status, 400);
}

TEST_P(PermissionsList, a_users_data_go_with_all_grants_and_nobody_elses) {
  t->put("/buckets/hers", "eve");
  t->put("/buckets/hers/collections/c", "eve");
  t->put("/buckets/beers/groups/g", "mat",
         R"({"data":{"members":[")" + t->userId("eve") + R"(","x:y"]}})");
  ASSERT_EQ(t->del("/__user_data__/" + t->userId("eve"), "eve").status, 200);
  EXPECT_EQ(t->get("/buckets/hers", "eve").status, 403);
  EXPECT_EQ(t->get("/buckets/beers", "eve").status, 403);
  EXPECT_EQ(granted("", "eve"), "/ bucket:create");
  EXPECT_EQ(t->get("/buckets/beers/collections/barley/records/one", "mat").status, 200);
  EXPECT_EQ(t->del("/__user_data__/" + t->userId("eve"), "eve").status, 200);
}

TEST_P(PermissionsList, a_flush_leaves_nothing) {
  EXPECT_EQ(t->post("/__flush__", "").status, 202);
  EXPECT_EQ(t->get("/buckets", "mat").at("/data"), "[]");
  EXPECT_EQ(granted("", "eve"), "/ bucket:create");
  EXPECT_EQ(t->get("/buckets/beers", "bob").status, 403);
  EXPECT_EQ(t->put("/buckets/beers", "bob").status, 201);
}

}  // namespace
}  // namespace godwit::kinto
