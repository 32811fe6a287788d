// Schemas of collections and buckets, held against what is written.
#include "kinto/plugins/catalog.h"
#include "scenario_test.h"

namespace godwit::kinto {
namespace {

class Schemas : public testing::TestWithParam<std::string> {
 protected:
  Schemas() {
    Config config = TestApp::basicConfig();
    config.raw["experimental_collection_schema_validation"] = "true";
    t = std::make_unique<TestApp>(config, GetParam(), choosePlugins(config));
    t->put("/buckets/blog", "mat");
    schema = t->put("/buckets/blog/collections/posts", "mat",
                    R"({"data":{"schema":{"type":"object","required":["title"],
                       "properties":{"title":{"type":"string"},"n":{"type":"integer"}}}}})")
                 .at("/data/last_modified");
  }
  std::unique_ptr<TestApp> t;
  std::string schema;
  const std::string posts = "/buckets/blog/collections/posts/records";
};
GODWIT_ON_EACH(Schemas, TestApp::backends());

TEST_P(Schemas, what_fits_bears_the_version_it_was_held_against) {
  EXPECT_TRUE(t->get("/").at("/capabilities/schema").size() > 2);
  Seen made = t->post(posts, "mat", R"({"data":{"id":"a","title":"x","n":1}})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.at("/data/schema"), schema);
  EXPECT_EQ(t->get(posts + "/a", "mat").at("/data/schema"), schema);
  EXPECT_EQ(t->get(posts + "?min_schema=" + schema, "mat").at("/data/0/id"), "\"a\"");
}

TEST_P(Schemas, what_does_not_fit_is_refused_by_every_method) {
  ASSERT_EQ(t->put(posts + "/a", "mat", R"({"data":{"title":"x"}})").status, 201);
  Seen seen = t->post(posts, "mat", R"({"data":{}})");
  EXPECT_EQ(seen.status, 400);
  EXPECT_EQ(seen.at("/details/0/name"), "\"title\"");
  EXPECT_EQ(seen.at("/details/0/description"), "\"'title' is a required property\"");
  EXPECT_EQ(t->put(posts + "/b", "mat", R"({"data":{"title":1}})").status, 400);
  EXPECT_EQ(t->patch(posts + "/a", "mat", R"({"data":{"n":"1"}})").status, 400);
  Seen batch = t->post("/batch", "mat", R"({"requests":[
    {"method":"PUT","path":"/buckets/blog/collections/posts/records/c","body":{"data":{"title":"y"}}},
    {"method":"PUT","path":"/buckets/blog/collections/posts/records/d","body":{"data":{"n":1}}}]})");
  EXPECT_EQ(batch.at("/responses/0/status"), "201");
  EXPECT_EQ(batch.at("/responses/1/status"), "400");
  EXPECT_EQ(t->send("HEAD", posts, "mat").header("Total-Objects"), "2");
}

TEST_P(Schemas, a_new_schema_holds_from_then_on) {
  ASSERT_EQ(t->put(posts + "/a", "mat", R"({"data":{"title":"x"}})").status, 201);
  Seen changed = t->patch("/buckets/blog/collections/posts", "mat",
                          R"({"data":{"schema":{"required":["n"]}}})");
  ASSERT_EQ(changed.status, 200);
  EXPECT_EQ(t->get(posts + "/a", "mat").at("/data/schema"), schema);
  EXPECT_EQ(t->patch(posts + "/a", "mat", R"({"data":{"title":"y"}})").status, 400);
  Seen fits = t->patch(posts + "/a", "mat", R"({"data":{"n":1}})");
  EXPECT_EQ(fits.at("/data/schema"), changed.at("/data/last_modified")) << fits.body;
}

TEST_P(Schemas, a_schema_that_is_none_is_refused) {
  Seen seen =
      t->put("/buckets/blog/collections/bad", "mat", R"({"data":{"schema":{"type":"nonsense"}}})");
  EXPECT_EQ(seen.status, 400) << seen.body;
  EXPECT_EQ(t->get("/buckets/blog/collections/bad", "mat").status, 404);
}

TEST_P(Schemas, buckets_have_schemas_for_what_is_in_them) {
  ASSERT_EQ(t->patch("/buckets/blog", "mat",
                     R"({"data":{"record:schema":{"required":["who"]},
                        "collection:schema":{"required":["about"]},
                        "group:schema":{"required":["why"]}}})")
                .status,
            200);
  EXPECT_EQ(t->post(posts, "mat", R"({"data":{"title":"x"}})").status, 400);
  EXPECT_EQ(t->post(posts, "mat", R"({"data":{"title":"x","who":"me"}})").status, 201);
  EXPECT_EQ(t->put("/buckets/blog/collections/c", "mat", "{}").status, 400);
  EXPECT_EQ(t->put("/buckets/blog/collections/c", "mat", R"({"data":{"about":"c"}})").status, 201);
  EXPECT_EQ(t->put("/buckets/blog/groups/g", "mat", R"({"data":{"members":[]}})").status, 400);
  EXPECT_EQ(t->put("/buckets/blog/groups/g", "mat", R"({"data":{"members":[],"why":1}})").status,
            201);
}

}  // namespace
}  // namespace godwit::kinto
