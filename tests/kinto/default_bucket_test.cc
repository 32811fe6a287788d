// The personal bucket: an alias that makes what it needs.
#include "kinto/plugins/catalog.h"
#include "scenario_test.h"

namespace godwit::kinto {
namespace {

class DefaultBucket : public testing::TestWithParam<std::string> {
 protected:
  DefaultBucket() { start(config()); }
  static Config config() {
    Config config = TestApp::basicConfig();
    config.raw["includes"] = "kinto.plugins.default_bucket";
    return config;
  }
  void start(const Config& with) {
    t.reset();
    t = std::make_unique<TestApp>(with, GetParam(), choosePlugins(with));
  }
  std::string mine(std::string_view user) {
    std::string id = t->get("/", user).at("/user/bucket");
    return "/buckets/" + id.substr(1, id.size() - 2);
  }

  std::unique_ptr<TestApp> t;
  const std::string records = "/buckets/default/collections/tasks/records";
};
GODWIT_ON_EACH(DefaultBucket, TestApp::backends());

TEST_P(DefaultBucket, belongs_to_who_asks) {
  EXPECT_EQ(t->get("/buckets/default").status, 401);
  EXPECT_NE(mine("mat"), mine("eve"));
  Seen seen = t->get("/buckets/default", "mat");
  ASSERT_EQ(seen.status, 200) << seen.body;
  EXPECT_EQ("/buckets/" + seen.at("/data/id").substr(1, 36), mine("mat"));
  EXPECT_EQ(seen.at("/permissions"), R"({"write":[")" + t->userId("mat") + "\"]}");
  EXPECT_EQ(t->get(mine("mat"), "eve").status, 403);
  EXPECT_EQ(t->get("/buckets/default", "eve").status, 200);
}

TEST_P(DefaultBucket, makes_what_it_needs_with_any_method) {
  EXPECT_EQ(t->get(records, "mat").status, 200);
  EXPECT_EQ(t->get(mine("mat") + "/collections/tasks", "mat").status, 200);
  EXPECT_EQ(
      t->post("/buckets/default/collections/more/records", "mat", R"({"data":{"n":1}})").status,
      201);
  EXPECT_EQ(t->get("/buckets/default/collections?_sort=id", "mat").at("/data/0/id"), "\"more\"");
  EXPECT_EQ(t->del("/buckets/default/collections/other/records", "mat").status, 200);
  EXPECT_EQ(t->get(mine("mat") + "/collections/other", "mat").status, 200);
}

TEST_P(DefaultBucket, a_request_that_fails_leaves_nothing) {
  EXPECT_EQ(t->get(records + "/none", "mat").status, 404);
  EXPECT_EQ(t->post(records, "mat", R"({"data":1})").status, 400);
  EXPECT_EQ(t->get("/buckets/default/collections/b!d/records", "mat").status, 400);
  EXPECT_EQ(t->get("/buckets/default/nothing", "mat").status, 404);
  EXPECT_EQ(t->get(mine("mat"), "mat").status, 403);
  EXPECT_EQ(t->get("/buckets", "mat").at("/data"), "[]");
}

TEST_P(DefaultBucket, what_is_put_is_created_by_that) {
  Seen put = t->put("/buckets/default/collections/tasks", "mat", R"({"data":{"a":1}})");
  EXPECT_EQ(put.status, 201) << put.body;
  EXPECT_EQ(t->put("/buckets/default/collections/tasks", "mat", R"({"data":{"a":2}})").status, 200);
  start(config());
  EXPECT_EQ(t->put("/buckets/default", "mat", R"({"data":{"a":1}})").status, 201);
  EXPECT_EQ(t->put("/buckets/default", "mat", "", {{"If-None-Match", "*"}}).status, 412);
}

TEST_P(DefaultBucket, deleted_it_comes_back_empty_and_newer) {
  ASSERT_EQ(t->put(records + "/one", "mat", R"({"data":{"n":1}})").status, 201);
  std::string before = t->get("/buckets/default", "mat").at("/data/last_modified");
  EXPECT_EQ(t->del("/buckets/default", "mat").status, 200);
  EXPECT_EQ(t->get(records, "mat").at("/data"), "[]");
  std::string after = t->get("/buckets/default", "mat").at("/data/last_modified");
  EXPECT_LT(std::stoll(before), std::stoll(after));
}

TEST_P(DefaultBucket, in_a_batch_it_is_made_once) {
  Seen batch = t->post("/batch", "mat", R"({"defaults":{"method":"POST"},"requests":[
    {"path":"/buckets/default/collections/a/records","body":{"data":{"n":1}}},
    {"path":"/buckets/default/collections/a/records","body":{"data":{"n":2}}},
    {"path":"/buckets/default/collections/b/records","body":{"data":{"n":3}}},
    {"method":"GET","path":"/buckets/default/collections"},
    {"method":"GET","path":"/buckets/default/collections/c/records/none"}]})");
  ASSERT_EQ(batch.status, 200) << batch.body;
  for (const char* i : {"0", "1", "2"}) {
    EXPECT_EQ(batch.at(std::string("/responses/") + i + "/status"), "201") << batch.body;
  }
  EXPECT_EQ(batch.at("/responses/3/body/data/1/id"), "\"a\"");
  EXPECT_EQ(batch.at("/responses/3/body/data/2"), "");
  EXPECT_EQ(batch.at("/responses/4/status"), "404");
  EXPECT_EQ(t->get(mine("mat") + "/collections/c", "mat").status, 200);
}

TEST_P(DefaultBucket, everybody_at_once_gets_one_bucket_and_no_error) {
  constexpr int kAtOnce = 24;
  std::vector<std::future<Seen>> answers;
  for (int i = 0; i < kAtOnce; ++i) {
    answers.push_back(std::async(std::launch::async, [&, i] {
      return t->post(records, "mat", R"({"data":{"n":)" + std::to_string(i) + "}}");
    }));
  }
  for (auto& answer : answers) {
    Seen seen = answer.get();
    EXPECT_EQ(seen.status, 201) << seen.body;
  }
  EXPECT_EQ(t->send("HEAD", records, "mat").header("Total-Objects"), std::to_string(kAtOnce));
  EXPECT_EQ(t->send("HEAD", "/buckets", "mat").header("Total-Objects"), "1");
  EXPECT_EQ(t->send("HEAD", "/buckets/default/collections", "mat").header("Total-Objects"), "1");
}

TEST_P(DefaultBucket, a_readonly_server_makes_nothing) {
  Config with = config();
  with.readonly = true;
  start(with);
  EXPECT_EQ(t->get(records, "mat").status, 405);
  EXPECT_EQ(t->get(mine("mat"), "mat").status, 403);
}

TEST_P(DefaultBucket, its_pages_and_places_bear_the_real_name) {
  for (const char* id : {"a", "b", "c"}) {
    ASSERT_EQ(t->put(records + "/" + id, "mat", "{}").status, 201);
  }
  std::string next = t->get(records + "?_limit=2&_sort=id", "mat").header("Next-Page");
  std::size_t at = next.find(mine("mat") + "/collections/tasks/records?");
  ASSERT_NE(at, std::string::npos) << next;
  EXPECT_EQ(t->get(next.substr(at), "mat").at("/data/0/id"), "\"c\"");
}

}  // namespace
}  // namespace godwit::kinto
