#include "godwit/http/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "support.h"

namespace godwit::http::test {
namespace {

using testing::ElementsAre;

RouteHandler say(const std::string& what) {
  return [what](const Request&, const Params& p, Reply r) {
    std::string text = what;
    for (const char* name : {"id", "other", "rest"}) {
      if (!p[name].empty()) text.append(" ").append(name).append("=").append(p[name]);
    }
    r.send(200, text);
  };
}

TEST(RouterTest, FindsTheMostLiteralPattern) {
  Router router;
  router.get("/", say("root"));
  router.get("/items", say("list"));
  router.post("/items", say("create"));
  router.get("/items/{id}", say("item"));
  router.get("/items/latest", say("latest"));
  router.get("/items/{id}/parts/{other}", say("part"));
  router.get("/files/{rest...}", say("files"));
  router.any("/any", say("any"));
  router.add("FROB", "/items/{id}", say("frobbed"));
  TestServer s([&](const Request& r, Reply reply) { router.handle(r, std::move(reply)); });
  Client c(s.url());
  auto get = [&](const char* target) { return c.get(target).body; };
  EXPECT_EQ(get("/"), "root");
  EXPECT_EQ(get("/items"), "list");
  EXPECT_EQ(get("/items?x=1"), "list");
  EXPECT_EQ(get("/items/7"), "item id=7");
  EXPECT_EQ(get("/items/a%2Fb"), "item id=a/b");
  EXPECT_EQ(get("/items/latest"), "latest");
  EXPECT_EQ(get("/%69tems/l%61test"), "latest");
  EXPECT_EQ(get("/items/latest/parts/2"), "part id=latest other=2");
  EXPECT_EQ(get("/files/"), "files");
  EXPECT_EQ(get("/files/a/b%20c"), "files rest=a/b c");
  EXPECT_EQ(get("/any"), "any");
  for (const char* none :
       {"/item", "/items/", "/items/7/", "/items/7/parts", "//items", "/files"}) {
    EXPECT_EQ(c.get(none).status, 404) << none;
  }
  EXPECT_EQ(c.get("/items/%zz").status, 400);
  auto ask = [&](const std::string& method, const std::string& target) {
    c.send(method + " " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    return c.read(method == "HEAD");
  };
  EXPECT_EQ(ask("POST", "/items").body, "create");
  EXPECT_EQ(ask("FROB", "/items/7").body, "frobbed id=7");
  EXPECT_EQ(ask("HEAD", "/items").header("Content-Length"), "4");
  Answer a = ask("DELETE", "/items");
  EXPECT_EQ(a.status, 405);
  EXPECT_EQ(a.header("Allow"), "GET, POST, HEAD, OPTIONS");
  a = ask("OPTIONS", "/items/7");
  EXPECT_EQ(a.status, 204);
  EXPECT_EQ(a.header("Allow"), "GET, FROB, HEAD, OPTIONS");
  EXPECT_EQ(ask("DELETE", "/any").body, "any");
}

TEST(RouterTest, MalformedPatternsAreBugs) {
  Router r;
  r.get("/a/{id}", say(""));
  for (const char* p : {"a", "/{}", "/{x}/{x}", "/{x...}/y", "/a/{other}", "/%zz"}) {
    EXPECT_THROW(r.get(p, say("")), std::invalid_argument) << p;
  }
}

TEST(RouterTest, ManyAmbiguousSegmentsStayCheap) {
  Router r;
  std::string pattern;
  for (int i = 0; i < 12; ++i) pattern += i % 2 ? "/a" : "/{p" + std::to_string(i) + "}";
  r.get(pattern, say("deep"));
  r.get("/a/a/a/a/a/a/a/a/a/a/a/b", say("other"));
  TestServer s([&](const Request& q, Reply reply) { r.handle(q, std::move(reply)); });
  Client c(s.url());
  EXPECT_EQ(c.get("/a/a/a/a/a/a/a/a/a/a/a/a").body, "deep");
  std::string many;
  for (int i = 0; i < 2000; ++i) many += "/a";
  EXPECT_EQ(c.get(many).status, 400);
}

struct Samples : RequestMetrics {
  std::mutex mu;
  std::vector<std::string> seen;
  void record(const RequestSample& s) override {
    std::lock_guard lock(mu);
    EXPECT_GE(s.request_time.count(), 0);
    seen.push_back(std::string(s.route) + " " + std::string(s.method) + " " +
                   std::to_string(s.failure()) + std::to_string(s.clientError()));
  }
};

TEST(RouterTest, MetricsPerRouteAndMethod) {
  for (bool all : {true, false}) {
    Samples samples;
    Router router;
    router.get("/items/{id}", say("item"), RouteOptions("item"));
    router.get("/plain", say("plain"));
    router.post(
        "/fail", [](const Request&, const Params&, Reply r) { r.send(500, ""); },
        RouteOptions("fail"));
    TestServer s(nullptr, TestServer::defaults(), [&](Server& server) {
      router.attach(server);
      server.useMetrics(samples, all);
    });
    Client c(s.url());
    c.get("/items/1");
    c.get("/plain");
    c.get("/nowhere");
    c.send("POST /fail HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    c.read();
    c.send("FROB / HTTP/1.1\r\nHost: x\r\n\r\n");
    c.read();
    std::size_t want = all ? 5 : 2;
    ASSERT_TRUE(eventually([&] {
      std::lock_guard lock(samples.mu);
      return samples.seen.size() == want;
    }));
    if (all) {
      EXPECT_THAT(samples.seen, ElementsAre("item GET 00", "/plain GET 00", " GET 01",
                                            "fail POST 10", " other 01"));
    } else {
      EXPECT_THAT(samples.seen, ElementsAre("item GET 00", "fail POST 10"));
    }
  }
}

TEST(RouterTest, BodyPoliciesBelongToRoutes) {
  Router router;
  RouteOptions upload;
  upload.body.max_bytes = 100;
  router.post("/small", say("small"));
  router.post("/large", say("large"), upload);
  Server::Options o = TestServer::defaults();
  o.limits.max_body_bytes = 10;
  TestServer s(nullptr, o, [&](Server& server) { router.attach(server); });
  for (auto [path, status] : {std::pair("/small", 413), std::pair("/large", 200)}) {
    Client c(s.url());
    c.send("POST " + std::string(path) + " HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n" +
           std::string(50, 'x'));
    EXPECT_EQ(c.read().status, status) << path;
  }
}

}  // namespace
}  // namespace godwit::http::test
