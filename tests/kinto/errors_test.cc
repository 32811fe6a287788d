// Error bodies, redirects, CORS and the headers every answer has.
#include "scenario_test.h"

namespace godwit::kinto {
namespace {

GODWIT_API_SUITE(Errors);

#define EXPECT_ERROR(seen, status_, errno_, error_, message_)        \
  do {                                                               \
    const Seen& s_ = (seen);                                         \
    EXPECT_EQ(s_.status, status_) << s_.body;                        \
    EXPECT_EQ(s_.at("/code"), std::to_string(status_));              \
    EXPECT_EQ(s_.at("/errno"), std::to_string(errno_));              \
    EXPECT_EQ(s_.at("/error"), json::dump(json::Value(error_)));     \
    EXPECT_EQ(s_.at("/message"), json::dump(json::Value(message_))); \
    EXPECT_EQ(s_.header("Content-Type"), "application/json");        \
  } while (0)

TEST_P(Errors, Table) {
  seed();
  EXPECT_ERROR(t.get("/unknown"), 404, 111, "Not Found",
               "The resource you are looking for could not be found.");
  EXPECT_ERROR(t.get("!/v9/"), 404, 116, "Not Found",
               "The requested API version is not available on this server.");
  EXPECT_ERROR(t.get("/buckets/beers"), 401, 104, "Unauthorized",
               "Please authenticate yourself to use this endpoint.");
  EXPECT_ERROR(t.get("/buckets/beers", "zoe"), 403, 121, "Forbidden",
               "This user cannot access this resource.");
  EXPECT_ERROR(t.post("/", ""), 405, 115, "Method Not Allowed",
               "Method not allowed on this endpoint.");
  EXPECT_ERROR(t.send("GET", "!/%82%AC"), 400, 107, "Bad Request", "Invalid URL path.");
  EXPECT_ERROR(t.put("/buckets/a%00b", "mat"), 400, 107, "Bad Request", "Invalid URL path.");
  EXPECT_ERROR(t.send("HEAD", one, "mat", "", {{"Accept", "text/plain"}}), 406, 107,
               "Invalid parameters", "Accept header should be one of ['application/json']");
  EXPECT_ERROR(t.put(one, "mat", "{}", {{"Content-Type", "text/plain"}}), 415, 107,
               "Invalid parameters", "Content-Type header should be one of ['application/json']");
  EXPECT_ERROR(t.get("/__version__"), 500, 999, "Internal Server Error",
               "A programmatic error occurred, developers have been informed.");
  EXPECT_EQ(t.get("/__version__").at("/info"), "\"https://github.com/Kinto/kinto/issues/\"");
  EXPECT_ERROR(t.put(one, "mat", "{}", {{"If-None-Match", "*"}}), 412, 114, "Precondition Failed",
               "Resource was modified meanwhile");
  EXPECT_EQ(t.put(one, "mat", "{}", {{"If-None-Match", "*"}}).at("/details/existing/name"),
            "\"Hulled\"");
  EXPECT_EQ(t.put(one, "mat", "{}", {{"If-None-Match", "*"}}).at("/details/existing/permissions"),
            "");
}

TEST_P(Errors, NotFoundNamesWhat) {
  seed();
  Seen record = t.get(records + "/blah", "mat");
  EXPECT_EQ(record.body,
            "{\"code\":404,\"errno\":110,\"error\":\"Not Found\",\"details\":{\"id\":\"blah\","
            "\"resource_name\":\"record\"}}");
  Seen collection = t.get("/buckets/beers/collections/pills/records", "mat");
  EXPECT_EQ(collection.at("/errno"), "111");
  EXPECT_EQ(collection.at("/details/id"), "\"pills\"");
  EXPECT_EQ(collection.at("/details/resource_name"), "\"collection\"");
  EXPECT_EQ(t.get("/buckets/beers/groups/none", "mat").at("/details/resource_name"), "\"group\"");
}

TEST_P(Errors, UnknownBucketsAreForbidden) {
  EXPECT_EQ(t.get("/buckets/sodas", "mat").status, 403);
  EXPECT_EQ(t.get("/buckets/sodas/collections", "mat").status, 403);
  EXPECT_EQ(t.get("/buckets/sodas/collections/x/records", "mat").status, 403);
  Config config = TestApp::basicConfig();
  config.principals["bucket_read_principals"] = {"system.Authenticated"};
  Seen seen = withConfig(config)->get("/buckets/2", "mat");
  EXPECT_EQ(seen.status, 404);
  EXPECT_EQ(seen.at("/details/resource_name"), "\"bucket\"");
}

TEST_P(Errors, InvalidIds) {
  seed();
  Seen seen = t.put("/buckets/__beers__", "mat");
  EXPECT_ERROR(seen, 400, 107, "Invalid parameters", "path: Invalid object id");
  EXPECT_EQ(seen.at("/details/0/name"), "null");
  EXPECT_EQ(seen.at("/details/0/location"), "\"path\"");
  EXPECT_EQ(t.put("/buckets/alexis_beers", "mat").status, 201);
  EXPECT_EQ(t.put(records + "/a%20b", "mat").status, 400);
  EXPECT_EQ(t.post(records, "mat", R"({"data":{"id":"a b"}})").status, 400);
  EXPECT_EQ(t.post(records, "mat", R"({"data":{"id":5}})").status, 400);
  EXPECT_EQ(t.post(records, "", R"({"data":{"id":null}})").status, 400);
  EXPECT_EQ(t.get("/buckets/beer'", "mat").status, 403);
  EXPECT_EQ(t.get("/buckets/beers/collections/barley'", "mat").status, 400);
  EXPECT_EQ(t.get("/buckets/beers/collections/barley'/records", "mat").status, 404);
  EXPECT_EQ(t.get("/buckets/beers/groups/x'", "mat").status, 400);
  EXPECT_EQ(t.get("/buckets/block%C2%93%C2%96sts/collections/barley", "mat").status, 403);
}

TEST_P(Errors, IdsMustAgree) {
  seed();
  EXPECT_ERROR(t.put(one, "mat", R"({"data":{"id":"two"}})"), 400, 107, "Invalid parameters",
               "Object id does not match existing object");
  EXPECT_ERROR(t.patch(one, "mat", R"({"data":{"id":"two"}})"), 400, 107, "Invalid parameters",
               "Object id does not match existing object");
  EXPECT_EQ(t.put(one, "mat", R"({"data":{"id":"one"}})").status, 200);
}

TEST_P(Errors, BodiesOfTheWrongForm) {
  seed();
  struct Case {
    const char* body;
    const char* message;
  };
  const Case cases[] = {
      {R"({"permissions":{"read":"book"}})", "permissions.read in body: \"book\" is not iterable"},
      {R"({"permissions":{"read":["x"],"unknown":["jacques"]}})",
       "permissions in body: \"unknown\" is not one of read, write"},
      {R"({"permissions":null})",
       "permissions in body: \"None\" is not a mapping type: Does not implement dict-like "
       "functionality."},
      {R"({"permissions":{"read":[42]}})",
       "permissions.read.0 in body: 42 is not a string: {'': ''}"},
      {R"({"permissions":{"read":[""]}})", "permissions.read.0 in body: Required"},
      {R"({"data":""})",
       "data in body: \"\" is not a mapping type: Does not implement dict-like functionality."},
      {R"({"data":[1,"a"]})",
       "data in body: \"[1, 'a']\" is not a mapping type: Does not implement dict-like "
       "functionality."},
      {R"({"foo":42})", "Unrecognized keys in mapping: \"{'foo': 42}\""},
      {R"([])", "\"[]\" is not a mapping type: Does not implement dict-like functionality."},
      {R"(5)", "Should be a JSON object or an array"},
  };
  for (const Case& c : cases) {
    EXPECT_ERROR(t.put(one, "mat", c.body), 400, 107, "Invalid parameters", c.message);
    EXPECT_ERROR(t.post(records, "mat", c.body), 400, 107, "Invalid parameters", c.message);
    EXPECT_EQ(t.put(one, "zoe", c.body).status, 403) << "the user comes before the body";
  }
  EXPECT_EQ(t.get(one, "mat").at("/data/name"), "\"Hulled\"");
}

TEST_P(Errors, BrokenJson) {
  seed();
  for (const char* body :
       {"{'foo>}", "{\"a\":1,}", "{", "\"", "{\"foo\": \"\\u0d1\"}", "nul", "{} x"}) {
    Seen seen = t.put(one, "mat", body);
    EXPECT_EQ(seen.status, 400) << body;
    EXPECT_EQ(seen.at("/errno"), "107");
    EXPECT_EQ(seen.at("/message").substr(0, 15), "\"Invalid JSON: ");
    EXPECT_EQ(seen.at("/details/0/location"), "\"body\"");
    EXPECT_EQ(seen.at("/details/0/name"), "\"\"");
    EXPECT_EQ(seen.at("/details/1/description"), "\"Required\"");
    EXPECT_EQ(t.patch(one, "mat", body).status, 400);
    EXPECT_EQ(t.send("GET", one, "mat", body).status, 400);
  }
}

TEST_P(Errors, HostileBodies) {
  seed();
  std::string deep(100'000, '[');
  EXPECT_EQ(t.put(one, "mat", "{\"data\":{\"a\":" + deep).status, 400);
  EXPECT_EQ(t.put(one, "mat", "{\"data\":{\"a\":" + deep + std::string(100'000, ']') + "}}").status,
            400);
  EXPECT_EQ(t.put(one, "mat", "{\"data\":{\"a\":\"\xC3\x28\"}}").status, 400);  // invalid UTF-8
  EXPECT_EQ(t.put(one, "mat", std::string("{\"data\":{\"a\":\"\0\"}}", 18)).status, 400);
  if (GetParam() == "postgresql") {
    // Nothing PostgreSQL calls text holds it.
    EXPECT_ERROR(t.put(one, "mat", R"({"data":{"a":"\u0000"}})"), 400, 107, "Invalid parameters",
                 "data in body: A string holds a null character");
    EXPECT_EQ(t.put(one, "mat", R"({"data":{"\u0000b":1}})").status, 400);
  } else {
    EXPECT_EQ(t.put(one, "mat", R"({"data":{"a":"\u0000","\u0000b":1}})").status, 200);
    EXPECT_EQ(t.get(one, "mat").at("/data/a"), "\"\\u0000\"");
  }
  EXPECT_EQ(t.put(one, "mat", R"({"data":{"a":"\uD800"}})").status, 400);  // lone surrogate
  EXPECT_EQ(t.put(one, "mat", R"({"data":{"a":1,"a":2,"id":"one"}})").at("/data/a"), "2");
  // The echo of what was sent is bounded.
  std::string many = "{\"data\":\"" + std::string(1'000'000, 'x') + "\"}";
  EXPECT_LT(t.put(one, "mat", many).body.size(), 10'000u);
}

TEST_P(Errors, NumbersKeepTheirValue) {
  seed();
  const std::string numbers =
      "[123456789012345678901234567890,0.1,1.5,-0.0,1e300,9007199254740993,2.50,"
      "9223372036854775808,-9223372036854775809,1E+2,5e-324,0.30000000000000004]";
  EXPECT_EQ(t.put(one, "mat", "{\"data\":{\"n\":" + numbers + "}}").at("/data/n"), numbers);
  std::string kept = t.get(one, "mat").at("/data/n");
  if (GetParam() == "postgresql") {
    // jsonb keeps every digit, and no other spelling.
    EXPECT_EQ(*json::parse(kept), *json::parse(numbers)) << kept;
  } else {
    EXPECT_EQ(kept, numbers);
  }
}

TEST_P(Errors, FieldsOfTheBuiltInResources) {
  seed();
  EXPECT_ERROR(
      t.put("/buckets/beers/groups/g", "mat", R"({"data":{"members":["system.Everyone"]}})"), 400,
      107, "Invalid parameters",
      "data.members.0 in body: 'system.Everyone' is not a valid user ID.");
  EXPECT_EQ(
      t.put("/buckets/beers/groups/g", "mat", R"({"data":{"members":["/buckets/beers/groups/a"]}})")
          .status,
      400);
  EXPECT_ERROR(t.put("/buckets/beers/groups/g", "mat", R"({"data":{"members":"x"}})"), 400, 107,
               "Invalid parameters", "data.members in body: \"x\" is not iterable");
  EXPECT_ERROR(t.put("/buckets/beers/collections/c", "mat", R"({"data":{"cache_expires":"abc"}})"),
               400, 107, "Invalid parameters",
               "data.cache_expires in body: \"abc\" is not a number");
  EXPECT_EQ(t.put("/buckets/beers/collections/c", "mat", R"({"data":{"cache_expires":"12"}})")
                .at("/data/cache_expires"),
            "12");
  EXPECT_ERROR(t.patch("/buckets/beers/collections/c", "mat", R"({"data":{"cache_expires":[1]}})"),
               400, 107, "Invalid parameters", "cache_expires in body: \"[1]\" is not a number");
  EXPECT_EQ(t.patch("/buckets/beers/collections/c", "mat", R"({"data":{"cache_expires":null}})")
                .at("/data/cache_expires"),
            "");
  EXPECT_EQ(t.put("/buckets/beers/collections/c", "mat", R"({"data":{"schema":5}})").status, 400);
  EXPECT_EQ(t.put("/buckets/b2", "mat", R"({"data":{"record:schema":5}})").status, 400);
  EXPECT_EQ(
      t.put("/buckets/beers/groups/g", "mat", R"({"data":{"alias":"x"}})").at("/data/members"),
      "[]");
  EXPECT_EQ(t.put("/buckets/beers/groups/h", "mat", R"({"permissions":{}})").at("/data/members"),
            "");
}

TEST_P(Errors, Redirects) {
  Seen root = t.get("!/");
  EXPECT_EQ(root.status, 307);
  EXPECT_EQ(root.header("Location"), "http://localhost/v1/");
  EXPECT_EQ(root.header("Expires"), "");
  EXPECT_EQ(t.get("!/home/articles?_since=42").header("Location"),
            "http://localhost/v1/home/articles?_since=42");
  EXPECT_EQ(t.get("!/crlftest%0DSet-Cookie:test").status, 404);
  EXPECT_EQ(t.get("!/crlf%0Atest").status, 404);
  Seen options = t.send("OPTIONS", "!/", "", "", {{"Origin", "lolnet.org"}});
  EXPECT_EQ(options.status, 200);
  EXPECT_EQ(options.header("Access-Control-Allow-Origin"), "*");
  Seen slash = t.get("/buckets/");
  EXPECT_EQ(slash.status, 307);
  EXPECT_EQ(slash.header("Location"), "http://localhost/v1/buckets");
  EXPECT_EQ(slash.header("Cache-Control"), "max-age=3600");
  EXPECT_TRUE(slash.has("Expires"));
  EXPECT_NE(slash.header("Content-Security-Policy").find("default-src 'none'"), std::string::npos);
  EXPECT_EQ(t.get("!/v1").header("Location"), "http://localhost/v1/");
  EXPECT_EQ(t.get("/home/articles/?_since=42").header("Location"),
            "http://localhost/v1/home/articles?_since=42");
  Config config = TestApp::basicConfig();
  config.version_prefix_redirect_ttl_seconds = 3600;
  config.trailing_slash_redirect_ttl_seconds = -1;
  auto api = withConfig(config);
  EXPECT_EQ(api->get("!/").header("Cache-Control"), "max-age=3600");
  EXPECT_EQ(api->get("!/v1").header("Expires"), "");
  config.version_prefix_redirect_enabled = false;
  config.trailing_slash_redirect_enabled = false;
  api = withConfig(config);
  EXPECT_EQ(api->get("!/").status, 404);
  EXPECT_EQ(api->get("/buckets/").status, 404);
  EXPECT_EQ(api->get("!/v1").at("/errno"), "111");
  EXPECT_EQ(api->get("/").status, 200);
}

TEST_P(Errors, SecurityHeadersAreEverywhere) {
  seed();
  for (const Seen& seen : {t.get("/"), t.get("/unknown"), t.get(one, "mat"), t.get(one),
                           t.get("!/"), t.put(one, "mat", "{"), t.send("OPTIONS", "/")}) {
    EXPECT_EQ(seen.header("X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(seen.header("Content-Security-Policy"),
              "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; ");
  }
}

TEST_P(Errors, HeadersFromClientsCannotSplitAnswers) {
  Seen seen = t.send("GET", "/buckets/?a=%0d%0aX: y", "mat");
  EXPECT_EQ(seen.headers.find("\nX:"), std::string::npos);
  Seen hostile = t.send("GET", "/buckets/", "", "", {{"Origin", "a"}, {"Host", "x"}});
  EXPECT_EQ(hostile.status, 307);
}

TEST_P(Errors, Backoff) {
  Config config = TestApp::basicConfig();
  EXPECT_FALSE(t.get("/").has("Backoff"));
  config.backoff = "10";
  EXPECT_EQ(withConfig(config)->get("/").header("Backoff"), "10");
  EXPECT_EQ(withConfig(config)->get("/nope").header("Backoff"), "10");
  config.backoff_percentage = 0;
  EXPECT_FALSE(withConfig(config)->get("/").has("Backoff"));
  config.backoff_percentage = 100;
  EXPECT_EQ(withConfig(config)->get("/").header("Backoff"), "10");
}

TEST_P(Errors, EndOfService) {
  Config config = TestApp::basicConfig();
  config.eos = "2069-02-21";
  config.eos_message = "moving";
  config.eos_url = "http://new.example";
  auto soft = withConfig(config);
  EXPECT_EQ(soft->get("/").status, 200);
  EXPECT_EQ(soft->get("/").at("/eos"), "\"2069-02-21\"");
  EXPECT_EQ(soft->get("/buckets/x").header("Alert"),
            "{\"code\":\"soft-eol\",\"message\":\"moving\",\"url\":\"http://new.example\"}");
  config.eos = "2011-02-21";
  Seen hard = withConfig(config)->get("/");
  EXPECT_ERROR(hard, 410, 202, "Gone",
               "The service you are trying to connect no longer exists at this location.");
  EXPECT_NE(hard.header("Alert").find("hard-eol"), std::string::npos);
}

TEST_P(Errors, Readonly) {
  Config config = TestApp::basicConfig();
  config.readonly = true;
  auto api = withConfig(config);
  EXPECT_EQ(api->get("/").header("Cache-Control"), "max-age=86400");
  EXPECT_EQ(api->get("/").at("/settings/readonly"), "true");
  EXPECT_EQ(api->put("/buckets/b", "mat").status, 405);
  EXPECT_EQ(api->post("/batch", "mat", R"({"requests":[]})").status, 405);
  EXPECT_EQ(api->send("OPTIONS", "/buckets", "", "",
                      {{"Origin", "x"}, {"Access-Control-Request-Method", "GET"}})
                .status,
            200);
  Seen empty = api->get("/buckets", "mat");
  // Noting the list's first timestamp is a write; in memory nobody else could.
  bool noted = GetParam() == "memory";
  EXPECT_EQ(empty.status, noted ? 200 : 503) << empty.body;
  EXPECT_EQ(empty.at("/errno"), noted ? "" : "201");
  EXPECT_EQ(empty.has("Retry-After"), !noted);
}

TEST_P(Errors, EndpointsCanBeSwitchedOff) {
  Config config = TestApp::basicConfig();
  config.disabled_endpoints = {"plural_bucket_post", "object_record_delete"};
  auto api = withConfig(config);
  seedBeers(*api);
  EXPECT_EQ(api->post("/buckets", "mat").status, 405);
  EXPECT_EQ(api->get("/buckets", "mat").status, 200);
  Seen seen = api->del(one, "mat");
  EXPECT_EQ(seen.status, 405);
  EXPECT_EQ(seen.header("Allow"), "GET, HEAD, PUT, PATCH, OPTIONS");
}

GODWIT_API_SUITE(Cors);

TEST_P(Cors, Preflight) {
  Seen seen = t.send("OPTIONS", "/buckets", "", "",
                     {{"Origin", "lolnet.org"},
                      {"Access-Control-Request-Method", "GET"},
                      {"Access-Control-Request-Headers", "Authorization, X-Mine"}});
  EXPECT_EQ(seen.status, 200);
  EXPECT_EQ(seen.body, "null");
  EXPECT_EQ(seen.header("Content-Type"), "application/json");
  EXPECT_EQ(seen.header("Access-Control-Allow-Origin"), "*");
  EXPECT_EQ(seen.header("Access-Control-Max-Age"), "3600");
  EXPECT_EQ(seen.header("Access-Control-Allow-Methods"), "HEAD,GET,POST,DELETE,OPTIONS");
  std::string allowed = seen.header("Access-Control-Allow-Headers");
  for (const char* h :
       {"Authorization", "X-Mine", "ETag", "Next-Page", "Total-Objects", "Backoff"}) {
    EXPECT_NE(allowed.find(h), std::string::npos) << h;
  }
  EXPECT_FALSE(seen.has("Access-Control-Expose-Headers"));
}

TEST_P(Cors, PreflightNeedsItsHeaders) {
  Seen seen = t.send("OPTIONS", "/buckets");
  EXPECT_EQ(seen.status, 400);
  EXPECT_EQ(seen.at("/message"),
            "\"Access-Control-Request-Method in header: this header is mandatory\"");
  EXPECT_EQ(seen.at("/details/1/name"), "\"Origin\"");
  Seen method = t.send("OPTIONS", "/buckets", "", "",
                       {{"Origin", "x"}, {"Access-Control-Request-Method", "PUT"}});
  EXPECT_EQ(method.status, 400);
}

TEST_P(Cors, ExposedHeadersDependOnTheMethod) {
  seed();
  const std::string base = "Backoff, Retry-After, Alert, Content-Length, Content-Type";
  auto exposed = [](const Seen& seen) { return seen.header("Access-Control-Expose-Headers"); };
  EXPECT_EQ(exposed(t.get("/")), base);
  EXPECT_EQ(exposed(t.post(records, "mat", "{}")), base);
  EXPECT_EQ(exposed(t.put("/buckets/wrong=ids", "mat")), base);
  EXPECT_EQ(exposed(t.get(one, "mat")),
            base + ", Last-Modified, ETag, Cache-Control, Expires, Pragma");
  EXPECT_EQ(exposed(t.get(records, "mat")),
            base + ", Last-Modified, ETag, Cache-Control, Expires, Pragma, Next-Page");
  EXPECT_EQ(exposed(t.send("HEAD", records, "mat")),
            base +
                ", Last-Modified, ETag, Cache-Control, Expires, Pragma, Next-Page, Total-Objects, "
                "Total-Records");
  EXPECT_EQ(exposed(t.get("/unknown")), "Backoff,Retry-After,Alert,Content-Length,Content-Type");
  EXPECT_EQ(exposed(t.post("/", "")), "");
  EXPECT_EQ(exposed(t.send("HEAD", one, "mat")), exposed(t.get(one, "mat")));
}

TEST_P(Cors, Origins) {
  Config config = TestApp::basicConfig();
  config.cors_origins = {"*.daybed.io", "exact.org"};
  config.cors_max_age_seconds = "";
  auto api = withConfig(config);
  auto origin = [&](const char* o) {
    return api->get("/", "", {{"Origin", o}}).header("Access-Control-Allow-Origin");
  };
  EXPECT_EQ(origin("demo.daybed.io"), "demo.daybed.io");
  EXPECT_EQ(origin("exact.org"), "exact.org");
  Seen refused = api->get("/buckets", "mat", {{"Origin", "evil.org"}});
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.at("/message"), "\"Origin in header: evil.org not allowed\"");
  EXPECT_FALSE(refused.has("Access-Control-Allow-Origin"));
  EXPECT_EQ(
      api->get("/unknown", "", {{"Origin", "exact.org"}}).header("Access-Control-Allow-Origin"),
      "exact.org");
  EXPECT_FALSE(api->get("/unknown", "", {{"Origin", "x"}}).has("Access-Control-Allow-Origin"));
  Seen preflight = api->send("OPTIONS", "/buckets", "", "",
                             {{"Origin", "exact.org"}, {"Access-Control-Request-Method", "GET"}});
  EXPECT_EQ(preflight.status, 200);
  EXPECT_FALSE(preflight.has("Access-Control-Max-Age"));
}

TEST_P(Cors, OnErrorsToo) {
  seed();
  HeaderList origin = {{"Origin", "notmyidea.org"}};
  for (const Seen& seen :
       {t.get("/unknown", "", origin), t.get(one, "", origin), t.get(records + "/x", "mat", origin),
        t.put(one, "mat", "{", origin), t.post("/", "", "", origin), t.get("/", "", origin)}) {
    EXPECT_EQ(seen.header("Access-Control-Allow-Origin"), "*") << seen.status;
  }
}

TEST_P(Cors, CanBeOff) {
  Config config = TestApp::basicConfig();
  config.cors_origins.clear();
  auto api = withConfig(config);
  EXPECT_EQ(api->send("OPTIONS", "/buckets").status, 405);
  EXPECT_FALSE(api->get("/", "", {{"Origin", "x"}}).has("Access-Control-Expose-Headers"));
}

}  // namespace
}  // namespace godwit::kinto
