// What happened to a bucket, for whoever may read it.
#include "kinto/plugins/catalog.h"
#include "scenario_test.h"

namespace godwit::kinto {
namespace {

using Settings = std::map<std::string, std::string>;

class History : public testing::TestWithParam<std::string> {
 protected:
  void start(const Settings& settings = {}) {
    Config config = TestApp::basicConfig();
    config.raw["includes"] = "history default_bucket";
    for (const auto& [key, value] : settings) config.raw[key] = value;
    t = std::make_unique<TestApp>(config, GetParam(), choosePlugins(config));
  }
  void seed() {
    t->put("/buckets/beers", "mat");
    t->put("/buckets/beers/collections/barley", "mat");
    t->put(one, "mat", R"({"data":{"n":1}})");
  }
  // "create record one, ..." newest first.
  std::string told(const std::string& query = "", std::string_view as = "mat") {
    Seen seen = t->get("/buckets/beers/history" + query, as);
    json::Value body = seen.json();
    const json::Value* data = body.get("data");
    if (!data || !data->isArray()) return seen.body;
    std::string out;
    for (const json::Value& e : data->asArray()) {
      std::string kind = e.get("resource_name")->asString();
      const json::Value* id = e.get(kind + "_id");
      out += (out.empty() ? "" : ", ") + e.get("action")->asString() + " " + kind + " " +
             (id ? id->asString() : "?");
    }
    return out;
  }

  std::unique_ptr<TestApp> t;
  const std::string one = "/buckets/beers/collections/barley/records/one";
};
GODWIT_ON_EACH(History, TestApp::backends());

TEST_P(History, every_change_is_an_entry) {
  start();
  seed();
  t->put("/buckets/beers/groups/g", "mat", R"({"data":{"members":["x:y"]}})");
  t->patch(one, "mat", R"({"data":{"n":2}})");
  t->del(one, "mat");
  EXPECT_EQ(told(),
            "delete record one, update record one, create group g, create record one, "
            "create collection barley, create bucket beers");
  Seen seen = t->get("/buckets/beers/history?action=update", "mat");
  EXPECT_EQ(seen.at("/data/0/uri"), "\"" + one + "\"");
  EXPECT_EQ(seen.at("/data/0/user_id"), "\"" + t->userId("mat") + "\"");
  EXPECT_EQ(seen.at("/data/0/collection_id"), "\"barley\"");
  EXPECT_EQ(seen.at("/data/0/target/data/n"), "2");
  EXPECT_EQ(seen.at("/data/0/target/permissions/write"), "[\"" + t->userId("mat") + "\"]");
  EXPECT_EQ(t->get("/buckets/beers/history?action=delete", "mat").at("/data/0/target/data/deleted"),
            "true");
}

TEST_P(History, a_list_deletion_has_an_entry_for_each) {
  start();
  seed();
  t->put("/buckets/beers/collections/barley/records/two", "mat", "{}");
  ASSERT_EQ(t->del("/buckets/beers/collections/barley/records", "mat").status, 200);
  EXPECT_EQ(told("?action=delete&_sort=record_id"), "delete record one, delete record two");
}

TEST_P(History, filters_sorting_and_pages) {
  start();
  seed();
  for (int i = 0; i < 5; ++i) {
    t->put(one, "mat", R"({"data":{"n":)" + std::to_string(i) + "}}");
  }
  EXPECT_EQ(told("?resource_name=collection"), "create collection barley");
  EXPECT_EQ(told("?uri=/buckets/beers"), "create bucket beers");
  EXPECT_EQ(told("?target.data.n=3"), "update record one");
  EXPECT_EQ(told("?_sort=last_modified&_limit=1"), "create bucket beers");
  Seen page = t->get("/buckets/beers/history?_limit=3", "mat");
  std::string next = page.header("Next-Page");
  ASSERT_NE(next, "");
  Seen second = t->get(next.substr(next.find("/buckets/")), "mat");
  EXPECT_EQ(second.at("/data/0/target/data/n"), "1") << second.body;
  std::string newest = page.at("/data/0/last_modified");
  EXPECT_EQ(told("?_since=" + newest), "");
  EXPECT_EQ(t->get("/buckets/beers/history?nosuch=1", "mat").status, 400);
}

TEST_P(History, readers_see_what_they_could_read_then) {
  start();
  seed();
  EXPECT_EQ(t->get("/buckets/beers/history", "eve").status, 403);
  t->patch(one, "mat", R"({"permissions":{"read":[")" + t->userId("eve") + "\"]}}");
  t->patch(one, "mat", R"({"data":{"n":2}})");
  EXPECT_EQ(told("", "eve"), "update record one, update record one");
  t->patch(one, "mat", R"({"permissions":{"read":[]}})");
  t->patch(one, "mat", R"({"data":{"n":3}})");
  EXPECT_EQ(told("", "eve"), "update record one, update record one");
  t->patch("/buckets/beers", "mat", R"({"permissions":{"read":[")" + t->userId("eve") + "\"]}}");
  EXPECT_EQ(told("?resource_name=bucket", "eve"), "update bucket beers, create bucket beers");
}

TEST_P(History, a_bucket_takes_its_history_along) {
  start();
  seed();
  ASSERT_EQ(t->del("/buckets/beers", "mat").status, 200);
  EXPECT_EQ(t->get("/buckets/beers/history", "mat").status, 403);
  t->put("/buckets/beers", "mat");
  EXPECT_EQ(told(), "create bucket beers");
}

TEST_P(History, entries_are_deleted_and_not_written) {
  start();
  seed();
  EXPECT_EQ(t->post("/buckets/beers/history", "mat", R"({"data":{}})").status, 405);
  EXPECT_EQ(t->del("/buckets/beers/history?resource_name=record", "mat").status, 200);
  EXPECT_EQ(told(), "create collection barley, create bucket beers");
  EXPECT_EQ(t->del("/buckets/beers/history", "eve").status, 403);
}

TEST_P(History, what_fails_and_what_is_excluded_leaves_no_entry) {
  start({{"history.exclude_resources", "/buckets/beers/collections/malt"}});
  seed();
  t->put(one, "mat", "{}", {{"If-None-Match", "*"}});
  t->put(one, "eve", "{}");
  t->put("/buckets/beers/collections/malt", "mat");
  t->put("/buckets/beers/collections/malt/records/a", "mat");
  EXPECT_EQ(told(), "create record one, create collection barley, create bucket beers");
}

TEST_P(History, is_trimmed_to_the_newest_when_it_has_grown_long_enough) {
  start({{"history.auto_trim_max_count", "3"}, {"history.auto_trim_threshold", "2"}});
  seed();
  for (int i = 0; i < 4; ++i) {
    t->put(one, "mat", R"({"data":{"n":)" + std::to_string(i) + "}}");
  }
  EXPECT_EQ(told("?resource_name=record"),
            "update record one, update record one, update record one, update record one, "
            "create record one");
  t->put(one, "mat", R"({"data":{"n":9}})");
  EXPECT_EQ(told("?resource_name=record"),
            "update record one, update record one, update record one");
  EXPECT_EQ(told("?resource_name=bucket"), "create bucket beers");
}

TEST_P(History, of_a_batch_is_in_the_order_of_the_batch) {
  start();
  seed();
  Seen batch = t->post("/batch", "mat", R"({"requests":[
    {"method":"PUT","path":"/buckets/beers/collections/hops"},
    {"method":"PUT","path":"/buckets/beers/collections/hops/records/a"},
    {"method":"PATCH","path":"/buckets/beers/collections/hops/records/a","body":{"data":{"n":1}}},
    {"method":"PUT","path":"/buckets/beers/collections/none/records/a"},
    {"method":"DELETE","path":"/buckets/beers/collections/hops/records/a"}]})");
  ASSERT_EQ(batch.status, 200);
  EXPECT_EQ(told("?_limit=4"),
            "delete record a, update record a, create record a, create collection hops");
}

TEST_P(History, what_comes_into_being_implicitly_is_told) {
  start();
  ASSERT_EQ(
      t->post("/buckets/default/collections/c/records", "mat", R"({"data":{"id":"r"}})").status,
      201);
  Seen seen = t->get("/buckets/default/history", "mat");
  EXPECT_EQ(seen.at("/data/0/record_id"), "\"r\"");
  EXPECT_EQ(seen.at("/data/1/collection_id"), "\"c\"");
  EXPECT_EQ(seen.at("/data/2/resource_name"), "\"bucket\"");
}

TEST_P(History, a_collection_is_shown_as_it_was) {
  start();
  seed();
  std::string before = t->get(one, "mat").at("/data/last_modified");
  t->put(one, "mat", R"({"data":{"n":2}})");
  t->put("/buckets/beers/collections/barley/records/two", "mat", "{}");
  Seen seen = t->get("/buckets/beers/snapshot/collections/barley@" + before, "mat");
  ASSERT_EQ(seen.status, 200) << seen.body;
  EXPECT_EQ(seen.at("/data/0/n"), "1") << seen.body;
  EXPECT_EQ(seen.at("/data/1"), "");
}

}  // namespace
}  // namespace godwit::kinto
