// The table in defs/endpoints.toml tells what the API has: every route of the running program must
// stand in it, as it is.
#include "kinto/endpoints.gen.h"

#include <gtest/gtest.h>

#include <set>

#include "kinto/plugins/catalog.h"
#include "test_app.h"

namespace godwit::kinto {
namespace {

std::set<std::string> words(std::string_view text) {
  std::set<std::string> all;
  while (!text.empty()) {
    std::size_t space = std::min(text.find(' '), text.size());
    if (space > 0) all.emplace(text.substr(0, space));
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return all;
}

std::string joined(const std::set<std::string>& all) {
  std::string text;
  for (const std::string& w : all) text += (text.empty() ? "" : " ") + w;
  return text;
}

EndpointKind kindOf(RouteKind kind) {
  return kind == RouteKind::kPlural   ? EndpointKind::kPlural
         : kind == RouteKind::kObject ? EndpointKind::kObject
                                      : EndpointKind::kService;
}

TEST(Endpoints, every_route_stands_in_the_table) {
  Config config = TestApp::basicConfig();
  config.policies = {{"account", "kinto.plugins.accounts.AccountsPolicy"}};
  std::string includes;
  for (const EndpointDef& e : endpoints()) {
    if (!e.plugin.empty()) includes += "kinto.plugins." + std::string(e.plugin) + " ";
  }
  config.raw["includes"] = includes;
  config.raw["experimental_permissions_endpoint"] = "true";
  auto plugins = choosePlugins(config);
  TestApp app(config, "memory", std::move(plugins));
  std::set<std::string> seen;
  for (const auto& route : app.app().router().routes()) {
    const EndpointDef* e = findEndpoint(route->name);
    ASSERT_NE(e, nullptr) << route->name << " " << route->pattern;
    EXPECT_EQ(e->path, route->pattern) << route->name;
    EXPECT_EQ(e->kind, kindOf(route->kind)) << route->name;
    std::set<std::string> methods(route->methods.begin(), route->methods.end());
    methods.erase("OPTIONS");
    EXPECT_EQ(joined(words(e->methods)), joined(methods)) << route->name;
    if (route->resource != nullptr) {
      EXPECT_EQ(e->resource, route->resource->name) << route->name;
    }
    seen.insert(route->name);
  }
  for (const EndpointDef& e : endpoints()) {
    if (e.resource.empty() || (!e.plugin.empty() && e.plugin != "accounts")) continue;
    EXPECT_EQ(seen.count(std::string(e.name)), 1u) << e.name;
  }
}

}  // namespace
}  // namespace godwit::kinto
