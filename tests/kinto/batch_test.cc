// Many requests in one; hello and heartbeat.
#include "scenario_test.h"

namespace godwit::kinto {
namespace {

GODWIT_API_SUITE(Batch);

TEST_P(Batch, AnswersEachItem) {
  seed();
  Seen seen = t.post("/batch", "mat", R"({
    "defaults": {"method": "POST", "path": "/buckets/beers/collections/barley/records",
                 "body": {"data": {"x": 1}}},
    "requests": [
      {"body": {"data": {"id": "b1", "y": 2}}},
      {"path": "/v1/buckets/beers/collections/barley/records/b1", "method": "GET"},
      {"path": "/unknown", "method": "GET"},
      {"path": "/", "method": "HEAD"},
      {"path": "/buckets/beers/", "method": "PATCH", "body": {"data": {"z": 3}}}
    ]})");
  ASSERT_EQ(seen.status, 200) << seen.body;
  EXPECT_EQ(seen.at("/responses/0/status"), "201");
  EXPECT_EQ(seen.at("/responses/0/body/data/x"), "1");
  EXPECT_EQ(seen.at("/responses/0/body/data/y"), "2");
  EXPECT_EQ(seen.at("/responses/0/path"), "\"/v1/buckets/beers/collections/barley/records\"");
  EXPECT_EQ(seen.at("/responses/0/headers/Content-Type"), "\"application/json\"");
  EXPECT_NE(seen.at("/responses/0/headers/ETag"), "");
  EXPECT_EQ(seen.at("/responses/1/body/data/y"), "2");
  EXPECT_EQ(seen.at("/responses/2/status"), "404");
  EXPECT_EQ(seen.at("/responses/2/body/code"), "404");
  EXPECT_EQ(seen.at("/responses/3/body"), "\"\"");
  EXPECT_EQ(seen.at("/responses/4/status"), "200");
  EXPECT_EQ(seen.at("/responses/4/path"), "\"/v1/buckets/beers\"");
  EXPECT_EQ(seen.at("/responses/4/body/data/z"), "3");
}

TEST_P(Batch, AFailedItemStopsNothing) {
  seed();
  Seen seen = t.post("/batch", "mat", R"({"requests":[
    {"method":"PUT","path":"/buckets/beers/collections/barley/records/n1"},
    {"method":"PUT","path":"/buckets/beers/collections/barley/records/n1","headers":{"If-None-Match":"*"}},
    {"method":"PUT","path":"/buckets/beers/collections/barley/records/n2","headers":{"If-Match":"\"*\""}},
    {"method":"PUT","path":"/buckets/beers/collections/barley/records/n3"}]})");
  EXPECT_EQ(seen.at("/responses/0/status"), "201");
  EXPECT_EQ(seen.at("/responses/1/status"), "412");
  EXPECT_EQ(seen.at("/responses/2/status"), "400");
  EXPECT_EQ(seen.at("/responses/2/body/message"),
            "\"If-Match in header: The value should be integer between double quotes.\"");
  EXPECT_EQ(seen.at("/responses/3/status"), "201");
  EXPECT_EQ(t.get(records + "/n1", "mat").status, 200);
  EXPECT_EQ(t.get(records + "/n3", "mat").status, 200);
}

TEST_P(Batch, AServerErrorUndoesEverything) {
  seed();
  Seen seen = t.post("/batch", "mat", R"({"requests":[
    {"method":"PUT","path":"/buckets/beers/collections/barley/records/n1"},
    {"path":"/__version__"}]})");
  EXPECT_EQ(seen.status, 500);
  EXPECT_EQ(t.get(records + "/n1", "mat").status, 404);
}

TEST_P(Batch, ItemsInheritHeaders) {
  seed();
  Seen seen = t.post("/batch", "mat",
                     R"({"requests":[{"path":"/buckets/beers"},
                        {"path":"/buckets/beers","headers":{"Authorization":"Basic em9lOnNlY3JldA=="}},
                        {"path":"/","headers":{"authorization":""}}]})",
                     {{"Origin", "x.org"}});
  EXPECT_EQ(seen.at("/responses/0/status"), "200");
  EXPECT_EQ(seen.at("/responses/0/headers/Access-Control-Allow-Origin"), "\"*\"");
  EXPECT_EQ(seen.at("/responses/1/status"), "403");
  EXPECT_EQ(seen.at("/responses/2/body/user"), "");
}

TEST_P(Batch, ReadsItsOwnWritesAndSeesCascades) {
  Seen seen = t.post("/batch", "mat", R"({"requests":[
    {"method":"PUT","path":"/buckets/b"},
    {"method":"PUT","path":"/buckets/b/collections/c"},
    {"method":"PUT","path":"/buckets/b/collections/c/records/r"},
    {"method":"DELETE","path":"/buckets/b"},
    {"method":"PUT","path":"/buckets/b"},
    {"method":"GET","path":"/buckets/b/collections?_since=0"},
    {"method":"GET","path":"/buckets/b/collections/c/records"}]})");
  EXPECT_EQ(seen.at("/responses/2/status"), "201") << seen.body;
  EXPECT_EQ(seen.at("/responses/5/body/data"), "[]");
  EXPECT_EQ(seen.at("/responses/6/status"), "404");
}

TEST_P(Batch, BadBatches) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "requests in body: Required"},
      {R"({"requests":{}})", "requests in body: \"{}\" is not iterable"},
      {R"({"requests":[],"unknown":42})", "Unrecognized keys in mapping: \"{'unknown': 42}\""},
      {R"({"requests":[42]})",
       "requests.0 in body: \"42\" is not a mapping type: Does not implement dict-like "
       "functionality."},
      {R"({"requests":[{"path":"http://x"}]})",
       "requests.0.path in body: String does not match expected pattern"},
      {R"({"requests":[{"method":"HEAD"}]})", "requests.0.path in body: Required"},
      {R"({"requests":[{"path":"/","method":"get"}]})",
       "requests.0.method in body: \"get\" is not one of GET, HEAD, DELETE, TRACE, POST, PUT, "
       "PATCH"},
      {R"({"requests":[{"path":"/","foo":42}]})",
       "requests.0 in body: Unrecognized keys in mapping: \"{'foo': 42}\""},
      {R"({"requests":[{"path":"/","headers":{"Accept":3.14}}]})",
       "requests.0.headers in body: {'Accept': 3.14} contains non string value"},
      {R"({"requests":[{"path":"/v1/batch","method":"POST"}]})",
       "requests in body: Recursive call on /batch endpoint is forbidden."},
      {R"({"requests":[{"path":"/"}],"defaults":42})",
       "defaults in body: \"42\" is not a mapping type: Does not implement dict-like "
       "functionality."},
      {R"({"requests":[{"path":"/"}],"defaults":{"body":3}})",
       "defaults.body in body: \"3\" is not a mapping type: Does not implement dict-like "
       "functionality."},
      {R"([])", "\"[]\" is not a mapping type: Does not implement dict-like functionality."},
  };
  for (const auto& [body, message] : cases) {
    Seen seen = t.post("/batch", "mat", body);
    EXPECT_EQ(seen.status, 400) << body;
    EXPECT_EQ(seen.at("/message"), json::dump(json::Value(message)));
  }
  EXPECT_NE(t.post("/batch", "", R"({"requests": [{"path": "/v1/"},]})").body.find("Invalid JSON"),
            std::string::npos);
  EXPECT_EQ(t.post("/batch", "", "{}", {{"Content-Type", "text/plain"}}).status, 415);
  std::string many = "{\"requests\":[";
  for (int i = 0; i < 26; ++i) many += std::string(i ? "," : "") + R"({"path":"/"})";
  many += "]}";
  EXPECT_EQ(t.post("/batch", "", many).at("/message"), "\"Number of requests is limited to 25\"");
  Config config = TestApp::basicConfig();
  config.batch_max_requests.reset();
  EXPECT_EQ(withConfig(config)->post("/batch", "", many).status, 200);
}

TEST_P(Batch, PathsMayHoldAnything) {
  seed();
  Seen seen = t.post("/batch", "mat",
                     "{\"requests\":[{\"path\":\"/test?param=\xC2\xA9\"},"
                     "{\"path\":\"/t\xC3\xA9st%20x\"}]}");
  EXPECT_EQ(seen.at("/responses/0/path"), "\"/v1/test\"");
  EXPECT_EQ(seen.at("/responses/1/path"), "\"/v1/t\\u00E9st x\"");
}

GODWIT_API_SUITE(Utilities);

TEST_P(Utilities, Hello) {
  Config config = TestApp::basicConfig();
  config.project_version = "7";
  auto api = withConfig(config);
  Seen seen = api->get("/");
  std::string keys;
  json::Value body = seen.json();
  for (const auto& [key, value] : body.asObject()) keys += key + " ";
  EXPECT_EQ(keys,
            "project_name project_version http_api_version project_docs url config settings "
            "capabilities ");
  EXPECT_EQ(seen.at("/url"), "\"http://localhost/v1/\"");
  EXPECT_EQ(seen.at("/settings"),
            "{\"batch_max_requests\":25,\"readonly\":false,\"explicit_permissions\":true}");
  EXPECT_NE(seen.at("/capabilities/basicauth/url"), "");
  EXPECT_FALSE(seen.has("Cache-Control"));
  config.http_scheme = "https";
  config.http_host = "store.example:443";
  EXPECT_EQ(withConfig(config)->get("/").at("/url"), "\"https://store.example/v1/\"");
}

TEST_P(Utilities, Heartbeat) {
  Seen seen = t.get("/__heartbeat__");
  EXPECT_EQ(seen.body, "{\"storage\":true,\"permission\":true,\"cache\":true}");
  EXPECT_EQ(t.get("/__lbheartbeat__").body, "{}");
  EXPECT_EQ(
      t.post("/batch", "", R"({"requests":[{"path":"/__heartbeat__"}]})").at("/responses/0/status"),
      "200");
}

}  // namespace
}  // namespace godwit::kinto
