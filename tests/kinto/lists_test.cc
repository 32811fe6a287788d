// Filters, sorting, fields, pagination, tombstones and list deletion.
#include "base/encoding.h"
#include "scenario_test.h"

namespace godwit::kinto {
namespace {

// Ids of a list answer, joined by spaces.
std::string ids(const Seen& seen) {
  std::string out;
  json::Value body = seen.json();
  const json::Value* data = body.get("data");
  if (!data || !data->isArray()) return "no list: " + seen.body;
  for (const json::Value& item : data->asArray()) {
    if (!out.empty()) out += ' ';
    out += item.get("id")->asString();
  }
  return out;
}

// Path and query of a Next-Page header, without version prefix.
std::string nextPath(const Seen& seen) {
  std::string url = seen.header("Next-Page");
  const std::string base = "http://localhost/v1";
  return url.rfind(base, 0) == 0 ? url.substr(base.size()) : "";
}

class Lists : public Api {
 protected:
  void SetUp() override {
    seed();
    ASSERT_EQ(t.del(records, "mat").status, 200);
    ASSERT_EQ(t.put("/buckets/beers/collections/malt", "mat").status, 201);
  }
  void fill() {
    const char* bodies[] = {
        R"({"data":{"id":"a","n":1,"s":"Apple","tags":["x","y"],"o":{"p":1,"q.r":5}}})",
        R"({"data":{"id":"b","n":2,"s":"banana","tags":["y"],"o":{"p":"1"}}})",
        R"({"data":{"id":"c","n":"2","s":"Cherry","flag":true}})",
        R"({"data":{"id":"d","n":null,"tags":"x"}})",
    };
    for (const char* body : bodies) ASSERT_EQ(t.post(malt, "mat", body).status, 201);
  }
  std::string find(const std::string& query) {
    return ids(t.get(malt + "?_sort=id&" + query, "mat"));
  }

  const std::string malt = "/buckets/beers/collections/malt/records";
};
GODWIT_ON_EACH(Lists, TestApp::backends());

TEST_P(Lists, Filters) {
  fill();
  const std::pair<const char*, const char*> cases[] = {
      {"n=1", "a"},
      {"n=2", "b"},
      {"n=\"2\"", "c"},
      {"n=null", "d"},
      {"eq_n=1", "a"},
      {"unknown=1", ""},
      {"s=Apple", "a"},
      {"s=\"Apple\"", "a"},
      {"not_n=1", "b c d"},
      {"in_n=1,2", "a b"},
      {"in_s=Apple,banana", "a b"},
      {"in_id=a,d", "a d"},
      {"in_id=", ""},
      {"exclude_id=a,d", "b c"},
      {"exclude_n=1,2", "c d"},
      {"id=a", "a"},
      {"has_flag=true", "c"},
      {"has_flag=false", "a b d"},
      {"has_n=true", "a b c d"},
      {"like_s=an", "b"},
      {"like_s=APP", "a"},
      {"like_s=*ana", "b"},
      {"like_s=b*a", "b"},
      {"contains_tags=[\"x\"]", "a"},
      {"contains_tags=\"y\"", "a b"},
      {"contains_tags=y", "a b"},
      {"contains_any_tags=[\"x\",\"y\"]", "a b"},
      {"o.p=1", "a"},
      {"o.p=\"1\"", "b"},
      {"o={\"p\":\"1\"}", "b"},
      {"flag=true", "c"},
      {"n=2&s=banana", "b"},
      {"_unknown=5", "a b c d"},
  };
  for (const auto& [query, expected] : cases) {
    EXPECT_EQ(find(query), expected) << query;
  }
}

TEST_P(Lists, BadFilters) {
  const std::pair<const char*, const char*> cases[] = {
      {"like_s=10", "Invalid value for like_s"},
      {"in_id=1,2", "Invalid value for in_id"},
      {"_since=abc", "_since in querystring: \"abc\" is not a number"},
      {"_limit=abc", "_limit in querystring: \"abc\" is not a number"},
      {"_limit=-1", "_limit in querystring: -1 is less than minimum value 0"},
      {"_limit=9223372036854775809",
       "_limit in querystring: 9223372036854775809 is greater than maximum value "
       "9223372036854775808"},
      {"last_modified=bad", "last_modified in querystring: \"bad\" is not a number"},
      {"gt_last_modified=bad", "Invalid value for gt_last_modified"},
      {"gt_last_modified=123%22", "Invalid value for gt_last_modified"},
      {"_since=99999999999999", "Invalid value for _since"},
      {"id=123", "123 is not a string: {'id': ''}"},
      {"contains_id=[1]", "contains_id in querystring: Field 'id' is not an array"},

      {"in_last_modified=1,2", "Invalid value for in_last_modified"},
      {"field=%22%5Cu0000%22", "field in querystring: Invalid character 0x00"},
      {"_token=bogus", "querystring: _token has invalid content"},
      {"_token=eyJ0b3RvIjo=", "querystring: _token has invalid content"},
  };
  for (const auto& [query, message] : cases) {
    Seen seen = t.get(malt + "?" + query, "mat");
    EXPECT_EQ(seen.status, 400) << query << " " << seen.body;
    EXPECT_EQ(seen.at("/message"), json::dump(json::Value(message))) << query;
    EXPECT_EQ(seen.at("/errno"), "107");
    EXPECT_EQ(t.get(malt + "?" + query, "zoe").status, 403) << "the user comes first";
  }
  EXPECT_EQ(t.get(malt + "?foo%e2%fc%a7bar", "mat").status, 400);
  EXPECT_EQ(t.get(malt + "?_since=" + std::to_string(INT64_MAX), "mat").status, 400);
}

TEST_P(Lists, Sorting) {
  fill();
  EXPECT_EQ(ids(t.get(malt, "mat")), "d c b a");  // newest first
  EXPECT_EQ(ids(t.get(malt + "?_sort=last_modified", "mat")), "a b c d");
  EXPECT_EQ(ids(t.get(malt + "?_sort=-s", "mat")).substr(0, 1), "d");  // missing is greatest
  EXPECT_EQ(ids(t.get(malt + "?_sort=-id,n", "mat")), "d c b a");
  EXPECT_EQ(ids(t.get(malt + "?_sort=%2Bid", "mat")), "a b c d");
  EXPECT_EQ(ids(t.get(malt + "?_sort=o.p,id", "mat")), "b a c d");  // string < number < missing
  EXPECT_EQ(ids(t.get(malt + "?_sort=!!,id", "mat")), "a b c d");   // nonsense is ignored
}

TEST_P(Lists, Fields) {
  fill();
  Seen seen = t.get(malt + "?_fields=s,o.p&_sort=id&_limit=1", "mat");
  json::Value first = seen.json().get("data")->asArray().front();
  EXPECT_EQ(json::dump(*first.get("o")), "{\"p\":1}");
  EXPECT_EQ(first.asObject().size(), 4u);  // with id and last_modified
  Seen one_object = t.get(malt + "/a?_fields=n", "mat");
  EXPECT_EQ(one_object.at("/permissions"), "");  // fields were asked for, permissions were not
  EXPECT_EQ(one_object.json().get("data")->asObject().size(), 3u);
  EXPECT_EQ(t.get(malt + "/a?_fields=nothing", "mat").json().get("data")->asObject().size(), 2u);
}

TEST_P(Lists, Pages) {
  for (int i = 0; i < 20; ++i) {
    std::string body = "{\"data\":{\"id\":\"r" + std::to_string(i) +
                       "\",\"status\":" + std::to_string(i % 4) +
                       (i % 3 ? "" : ",\"optional\":true") + "}}";
    ASSERT_EQ(t.post(malt, "mat", body).status, 201);
  }
  for (const char* sort :
       {"", "_sort=-status", "_sort=status,-id", "_sort=optional", "_sort=-optional",
        "_sort=last_modified", "_since=123", "status=2", "_sort=o.p"}) {
    std::string all = ids(t.get(malt + "?" + sort, "mat"));
    std::string paged;
    std::string path = malt + "?_limit=3&" + sort;
    int pages = 0;
    for (; !path.empty() && pages < 20; ++pages) {
      Seen page = t.get(path, "mat");
      ASSERT_EQ(page.status, 200) << page.body;
      if (!paged.empty()) paged += ' ';
      paged += ids(page);
      path = nextPath(page);
    }
    EXPECT_EQ(paged, all) << sort;
  }
  EXPECT_FALSE(t.get(malt, "mat").has("Next-Page"));
  EXPECT_FALSE(t.get(malt + "?_limit=20", "mat").has("Next-Page"));
  Seen page = t.get(malt + "?_limit=10&status=1&_sort=-id", "mat");
  EXPECT_FALSE(page.has("Next-Page"));
  page = t.get(malt + "?_limit=2&status=1&x%20y=", "mat");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(t.get(malt + "?_limit=0", "mat").json().get("data")->asArray().size(), 20u);
  EXPECT_EQ(t.send("HEAD", malt + "?_limit=5", "mat").header("Total-Objects"), "20");
  EXPECT_EQ(t.send("HEAD", malt + "?status=1", "mat").header("Total-Records"), "5");
  EXPECT_EQ(t.send("HEAD", malt, "mat").body, "{\"data\":[]}");
  EXPECT_FALSE(t.get(malt, "mat").has("Total-Objects"));
}

TEST_P(Lists, TokensAreThePredecessors) {
  fill();
  Seen page = t.get(malt + "?_limit=2&_sort=-n", "mat");
  std::string path = nextPath(page);
  auto at = path.find("_token=");
  ASSERT_NE(at, std::string::npos) << path;
  auto token = percentDecode(std::string_view(path).substr(at + 7));
  auto text = base64Decode(*token);
  ASSERT_TRUE(text);
  auto parsed = json::parse(*text);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(json::dump(*parsed->get("offset")), "3");
  EXPECT_NE(parsed->get("last_object")->get("n"), nullptr);
  EXPECT_NE(parsed->get("last_object")->get("last_modified"), nullptr);
  EXPECT_EQ(parsed->get("nonce")->asString().rfind("pagination-token-", 0), 0u);
}

TEST_P(Lists, SettingsBoundThePage) {
  Config config = TestApp::basicConfig();
  config.paginate_by = 2;
  auto api = withConfig(config);
  seedBeers(*api);
  for (int i = 0; i < 4; ++i) api->post(records, "mat", "{}");
  EXPECT_EQ(api->get(records, "mat").json().get("data")->asArray().size(), 2u);
  EXPECT_EQ(api->get(records + "?_limit=10", "mat").json().get("data")->asArray().size(), 2u);
  EXPECT_EQ(api->get(records + "?_limit=1", "mat").json().get("data")->asArray().size(), 1u);
  Config small = TestApp::basicConfig();
  small.storage_max_fetch_size = 3;
  auto tight = withConfig(small);
  seedBeers(*tight);
  for (int i = 0; i < 4; ++i) tight->post(records, "mat", "{}");
  EXPECT_EQ(tight->get(records, "mat").json().get("data")->asArray().size(), 3u);
  EXPECT_TRUE(tight->get(records, "mat").has("Next-Page"));
}

TEST_P(Lists, TombstonesShowWhenAskedByTime) {
  fill();
  Seen deleted = t.del(malt + "/b", "mat");
  EXPECT_EQ(deleted.at("/data/deleted"), "true");
  EXPECT_EQ(deleted.at("/data/n"), "");
  EXPECT_EQ(ids(t.get(malt, "mat")), "d c a");
  Seen since = t.get(malt + "?_since=0", "mat");
  EXPECT_EQ(ids(since), "b d c a");
  EXPECT_EQ(since.at("/data/0/deleted"), "true");
  EXPECT_EQ(ids(t.get(malt + "?_since=\"0\"&deleted=true", "mat")), "b");
  EXPECT_EQ(ids(t.get(malt + "?deleted=true", "mat")), "");
  std::string now = deleted.at("/data/last_modified");
  EXPECT_EQ(ids(t.get(malt + "?_since=" + now, "mat")), "");
  EXPECT_EQ(ids(t.get(malt + "?_before=" + now + "&_sort=id", "mat")), "a c d");
  EXPECT_EQ(ids(t.get(malt + "?last_modified=" + now, "mat")), "b");
  EXPECT_EQ(ids(t.get(malt + "?gt_last_modified=\"0\"&_sort=id", "mat")), "a b c d");
  Seen to = t.get(malt + "?_to=" + now, "mat");
  EXPECT_EQ(to.status, 200);
  EXPECT_NE(to.header("Alert").find("soft-eol"), std::string::npos);
  EXPECT_EQ(t.send("HEAD", malt + "?_since=0", "mat").header("Total-Objects"), "3");
}

TEST_P(Lists, DeletionHonoursFiltersAndPages) {
  fill();
  Seen none = t.del(malt + "?title=42", "mat");
  EXPECT_EQ(none.body, "{\"data\":[]}");
  EXPECT_EQ(none.header("ETag"), t.get(malt, "mat").header("ETag"));
  Seen filtered = t.del(malt + "?n=1", "mat");
  EXPECT_EQ(ids(filtered), "a");
  EXPECT_EQ(filtered.at("/data/0/deleted"), "true");
  EXPECT_EQ(filtered.header("ETag"), t.get(malt, "mat").header("ETag"));
  Seen page = t.del(malt + "?_limit=1&_sort=id", "mat");
  EXPECT_EQ(ids(page), "b");
  std::string next = nextPath(page);
  ASSERT_FALSE(next.empty());
  Seen second = t.del(next, "mat");
  EXPECT_EQ(ids(second), "c") << second.body;
  Seen again = t.del(next, "mat");
  EXPECT_EQ(again.status, 400);
  EXPECT_EQ(again.at("/message"), "\"querystring: _token was already used or has expired.\"");
  EXPECT_EQ(ids(t.get(malt, "mat")), "d");
  Seen last = t.del(nextPath(second), "mat");
  EXPECT_EQ(ids(last), "d");
  EXPECT_FALSE(last.has("Next-Page"));
  EXPECT_EQ(ids(t.get(malt, "mat")), "");
}

TEST_P(Lists, ATokenIsNotSpentByARefusal) {
  fill();
  Seen page = t.del(malt + "?_limit=1", "mat");
  std::string next = nextPath(page);
  EXPECT_EQ(t.del(next, "zoe").status, 403);
  EXPECT_EQ(t.del(next, "mat").status, 200);
}

TEST_P(Lists, DeletingAParentDeletesEverythingBelow) {
  fill();
  std::string before = t.get(malt, "mat").header("ETag");
  std::string everyone = "{\"permissions\":{\"read\":[\"system.Everyone\"]}}";
  t.patch(malt + "/a", "mat", everyone);
  EXPECT_EQ(t.get(malt + "/a").status, 200);
  EXPECT_EQ(t.del("/buckets/beers/collections/malt", "mat").status, 200);
  EXPECT_EQ(t.get(malt, "mat").status, 404);
  ASSERT_EQ(t.put("/buckets/beers/collections/malt", "mat").status, 201);
  EXPECT_EQ(ids(t.get(malt + "?_since=0", "mat")), "");
  EXPECT_NE(t.get(malt, "mat").header("ETag"), before);
  ASSERT_EQ(t.put(malt + "/a", "mat").status, 201);
  EXPECT_EQ(t.get(malt + "/a").status, 401);
  ASSERT_EQ(t.put("/buckets/beer", "mat", everyone).status, 201);
  EXPECT_EQ(t.del("/buckets/beers", "mat").status, 200);
  EXPECT_EQ(t.get("/buckets/beer").status, 200);  // not one of a similar name
  ASSERT_EQ(t.put("/buckets/beers", "mat").status, 201);
  EXPECT_EQ(ids(t.get("/buckets/beers/collections?_since=0", "mat")), "");
  EXPECT_EQ(ids(t.get("/buckets/beers/groups?_since=0", "mat")), "");
}

TEST_P(Lists, CollectionsNamedLikeOtherThings) {
  t.put("/buckets/beers/groups/test", "mat");
  t.put("/buckets/beers/collections/groups", "mat");
  t.post("/buckets/beers/collections/groups/records", "mat");
  EXPECT_EQ(ids(t.get("/buckets/beers/groups", "mat")), "test");
}

TEST_P(Lists, CacheHeaders) {
  Config config = TestApp::basicConfig();
  config.principals["record_read_principals"] = {"system.Everyone"};
  config.principals["collection_read_principals"] = {"system.Everyone"};
  config.cache_expires = {
      {"record", 3600}, {"beers.record", 30}, {"beers.top.record", 60}, {"collection", 0}};
  auto api = withConfig(config);
  seedBeers(*api);
  api->put("/buckets/beers/collections/top", "mat");
  api->put("/buckets/other", "mat");
  api->put("/buckets/other/collections/c", "mat");
  EXPECT_EQ(api->get(records).header("Cache-Control"), "max-age=30");
  EXPECT_EQ(api->get(one).header("Cache-Control"), "max-age=30");
  EXPECT_TRUE(api->get(one).has("Expires"));
  EXPECT_EQ(api->get("/buckets/beers/collections/top/records").header("Cache-Control"),
            "max-age=60");
  EXPECT_EQ(api->get("/buckets/other/collections/c/records").header("Cache-Control"),
            "max-age=3600");
  EXPECT_EQ(api->get(one, "mat").header("Cache-Control"), "no-cache, no-store");
  EXPECT_FALSE(api->get(one, "mat").has("Expires"));
  EXPECT_EQ(api->get("/buckets/beers/collections/top").header("Cache-Control"),
            "no-cache, no-store");
  api->put("/buckets/other/collections/c", "mat", R"({"data":{"cache_expires":7200}})");
  EXPECT_EQ(api->get("/buckets/other/collections/c/records").header("Cache-Control"),
            "max-age=7200");
  api->put("/buckets/other/collections/c", "mat", R"({"data":{"cache_expires":10}})");
  EXPECT_EQ(api->get("/buckets/other/collections/c/records").header("Cache-Control"),
            "max-age=3600");
}

TEST_P(Lists, ACollectionMayForbidCaching) {
  t.put("/buckets/open", "mat", R"({"permissions":{"read":["system.Everyone"]}})");
  t.put("/buckets/open/collections/c", "mat", R"({"data":{"cache_expires":0}})");
  Seen seen = t.get("/buckets/open/collections/c/records");
  EXPECT_EQ(seen.header("Cache-Control"), "max-age=0, must-revalidate, no-cache, no-store");
  EXPECT_EQ(seen.header("Pragma"), "no-cache");
  EXPECT_TRUE(seen.has("Expires"));
}

}  // namespace
}  // namespace godwit::kinto
