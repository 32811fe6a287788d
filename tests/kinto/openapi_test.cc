// The OpenAPI document, made of the same table and routes that answer requests.
#include <gtest/gtest.h>

#include <set>

#include "kinto/plugins/catalog.h"
#include "test_app.h"

namespace godwit::kinto {
namespace {

class OpenApi : public ::testing::Test {
 protected:
  static Config withPlugins() {
    Config config = TestApp::basicConfig();
    config.policies = {{"account", "kinto.plugins.accounts.AccountsPolicy"}, {"basicauth", ""}};
    config.raw["includes"] =
        "accounts admin counters default_bucket flush history openid prometheus kinto_fxa";
    config.raw["experimental_permissions_endpoint"] = "true";
    return config;
  }
  static json::Value documentOf(const Config& config) {
    TestApp app(config, "memory", choosePlugins(config));
    return app.get("/__api__").json();
  }
};

// Calls f(path, method, operation, path item).
template <class F>
void forEachOperation(const json::Value& document, F f) {
  for (const auto& [path, item] : document.get("paths")->asObject()) {
    for (const auto& [method, operation] : item.asObject()) {
      if (method != "parameters") f(path, method, operation, item);
    }
  }
}

void collectRefs(const json::Value& value, std::set<std::string>& refs) {
  if (value.isArray()) {
    for (const auto& each : value.asArray()) collectRefs(each, refs);
  }
  if (!value.isObject()) return;
  for (const auto& [name, inner] : value.asObject()) {
    if (name == "$ref" && inner.isString()) refs.insert(inner.asString());
    collectRefs(inner, refs);
  }
}

TEST_F(OpenApi, every_reference_leads_somewhere) {
  json::Value document = documentOf(withPlugins());
  std::set<std::string> refs;
  collectRefs(document, refs);
  EXPECT_GT(refs.size(), 10U);
  for (const std::string& ref : refs) {
    ASSERT_EQ(ref.rfind("#/definitions/", 0), 0U) << ref;
    EXPECT_NE(document.get("definitions")->get(ref.substr(14)), nullptr) << ref;
  }
}

TEST_F(OpenApi, operation_ids_are_unique_and_every_operation_has_responses) {
  std::set<std::string> ids;
  forEachOperation(documentOf(withPlugins()), [&](auto& path, auto& method, auto& op, auto&) {
    EXPECT_TRUE(ids.insert(op.get("operationId")->asString()).second)
        << op.get("operationId")->asString();
    EXPECT_NE(op.get("responses")->get("default"), nullptr) << method << " " << path;
    for (const auto& [status, response] : op.get("responses")->asObject()) {
      EXPECT_NE(response.get("description"), nullptr) << method << " " << path << " " << status;
    }
    EXPECT_NE(op.get("summary"), nullptr) << method << " " << path;
  });
  EXPECT_TRUE(ids.contains("get_buckets"));
  EXPECT_TRUE(ids.contains("create_record"));
  EXPECT_TRUE(ids.contains("get_history"));
}

TEST_F(OpenApi, each_parameter_of_a_path_is_declared_once) {
  json::Value document = documentOf(withPlugins());
  for (const auto& [path, item] : document.get("paths")->asObject()) {
    std::multiset<std::string> declared;
    if (const json::Value* parameters = item.get("parameters")) {
      for (const auto& p : parameters->asArray()) {
        EXPECT_EQ(p.get("in")->asString(), "path");
        EXPECT_TRUE(p.get("required")->asBool());
        declared.insert(p.get("name")->asString());
      }
    }
    std::multiset<std::string> named;
    for (std::size_t open = path.find('{'); open != path.npos; open = path.find('{', open + 1)) {
      named.insert(path.substr(open + 1, path.find('}', open) - open - 1));
    }
    EXPECT_EQ(declared, named) << path;
  }
}

TEST_F(OpenApi, every_endpoint_that_answers_is_described) {
  Config config = withPlugins();
  TestApp app(config, "memory", choosePlugins(config));
  json::Value document = app.get("/__api__").json();
  for (const auto& route : app.app().router().routes()) {
    const json::Value* item = document.get("paths")->get(route->pattern);
    if (route->pattern.find('*') != std::string::npos) {
      EXPECT_EQ(item, nullptr) << route->pattern;
      continue;
    }
    ASSERT_NE(item, nullptr) << route->pattern;
    for (const std::string& method : route->methods) {
      if (method == "HEAD" || method == "OPTIONS") continue;
      std::string name = method;
      for (char& c : name) c = static_cast<char>(c | 0x20);
      EXPECT_NE(item->get(name), nullptr) << method << " " << route->pattern;
    }
  }
}

TEST_F(OpenApi, what_the_settings_switch_off_is_left_out) {
  Config config = TestApp::basicConfig();
  config.disabled_endpoints.insert("plural_bucket_post");
  json::Value some = documentOf(config);
  EXPECT_EQ(some.get("paths")->get("/buckets")->get("post"), nullptr);
  EXPECT_NE(some.get("paths")->get("/buckets")->get("get"), nullptr);
  EXPECT_EQ(some.get("paths")->get("/accounts"), nullptr);
  config.readonly = true;
  forEachOperation(documentOf(config), [](auto& path, auto& method, auto&, auto&) {
    EXPECT_EQ(method, "get") << path;
  });
}

TEST_F(OpenApi, it_tells_how_to_authenticate) {
  json::Value document = documentOf(withPlugins());
  EXPECT_EQ(json::dump(*document.get("securityDefinitions")),
            R"({"account":{"type":"basic"},"basicauth":{"type":"basic"}})");
  const json::Value& paths = *document.get("paths");
  EXPECT_EQ(json::dump(*paths.get("/")->get("get")->get("security")), "[]");
  EXPECT_EQ(json::dump(*paths.get("/buckets")->get("get")->get("security")),
            R"([{"account":[]},{"basicauth":[]}])");
}

TEST_F(OpenApi, the_host_is_the_one_that_was_asked) {
  TestApp app;
  Seen one = app.get("/__api__", "", {{"Host", "api.example.com:8443"}});
  EXPECT_EQ(one.at("/basePath"), "\"/v1\"");
  EXPECT_EQ(one.at("/swagger"), "\"2.0\"");
  Seen evil = app.get("/__api__", "", {{"Host", "a\",\"x\":\"b"}});
  EXPECT_EQ(evil.at("/x"), "");
}

}  // namespace
}  // namespace godwit::kinto
