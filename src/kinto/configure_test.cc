#include "kinto/configure.h"

#include <gtest/gtest.h>

#include "kinto/server_options.h"

namespace godwit::kinto {
namespace {

using Words = std::vector<std::string>;

Settings loaded(std::vector<std::pair<std::string, std::string>> values) {
  SettingsInput input;
  for (auto& [key, value] : values) input.flags.push_back({key, value, "--set"});
  auto s = Settings::load(input);
  EXPECT_TRUE(s.ok()) << (s.ok() ? "" : s.error().message);
  return s.ok() ? *s : Settings();
}

Config configured(std::vector<std::pair<std::string, std::string>> values) {
  return configFrom(loaded(std::move(values)), "0.1.0");
}

TEST(Configure, defaults_are_those_of_a_default_config) {
  Config made = configFrom(Settings(), "0.1.0");
  Config plain;
  EXPECT_EQ(made.project_name, plain.project_name);
  EXPECT_EQ(made.project_version, "0.1.0");
  EXPECT_EQ(made.project_docs, plain.project_docs);
  EXPECT_EQ(made.http_api_version, plain.http_api_version);
  EXPECT_EQ(made.readonly, plain.readonly);
  EXPECT_EQ(made.batch_max_requests, plain.batch_max_requests);
  EXPECT_EQ(made.paginate_by, plain.paginate_by);
  EXPECT_EQ(made.storage_max_fetch_size, plain.storage_max_fetch_size);
  EXPECT_EQ(made.pagination_token_validity, plain.pagination_token_validity);
  EXPECT_EQ(made.explicit_permissions, plain.explicit_permissions);
  EXPECT_EQ(made.retry_after_seconds, plain.retry_after_seconds);
  EXPECT_EQ(made.error_info_link, plain.error_info_link);
  EXPECT_EQ(made.root_cache_expires_seconds, plain.root_cache_expires_seconds);
  EXPECT_EQ(made.version_json_path, plain.version_json_path);
  EXPECT_EQ(made.cors_origins, plain.cors_origins);
  EXPECT_EQ(made.cors_max_age_seconds, plain.cors_max_age_seconds);
  EXPECT_EQ(made.heartbeat_timeout, plain.heartbeat_timeout);
  EXPECT_EQ(made.granted("bucket_create_principals"), Words{"system.Authenticated"});
  EXPECT_TRUE(made.policies.empty());
  EXPECT_TRUE(made.disabled_endpoints.empty());
}

TEST(Configure, server_options_follow_the_settings) {
  http::Server::Options plain;
  http::Server::Options made = serverOptionsFrom(Settings());
  EXPECT_EQ(made.threads, plain.threads);
  EXPECT_EQ(made.drain_deadline, plain.drain_deadline);
  EXPECT_EQ(made.limits.max_connections, plain.limits.max_connections);
  EXPECT_EQ(made.limits.max_header_bytes, plain.limits.max_header_bytes);
  EXPECT_EQ(made.limits.max_body_bytes, plain.limits.max_body_bytes);
  EXPECT_EQ(made.limits.header_timeout, plain.limits.header_timeout);
  EXPECT_EQ(made.limits.body_timeout, plain.limits.body_timeout);
  EXPECT_EQ(made.limits.idle_timeout, plain.limits.idle_timeout);
  EXPECT_EQ(made.limits.write_timeout, plain.limits.write_timeout);
  EXPECT_EQ(made.limits.handler_timeout, plain.limits.handler_timeout);
  EXPECT_EQ(listenUrl(Settings()), "http://127.0.0.1:8888");
  EXPECT_EQ(listenUrl(loaded({{"godwit.host", "::1"}, {"godwit.port", "0"}})), "http://[::1]:0");
  EXPECT_EQ(listenUrl(loaded({{"godwit.unix", "/run/g.sock"}})), "unix:/run/g.sock");
  made = serverOptionsFrom(loaded({{"godwit.threads", "3"}, {"godwit.max_body_bytes", "2MiB"}}));
  EXPECT_EQ(made.threads, 3u);
  EXPECT_EQ(made.limits.max_body_bytes, std::size_t{2} << 20);
}

TEST(Configure, reads_what_was_set) {
  Config c = configured({{"multiauth.policies", "account basicauth"},
                         {"multiauth.policy.account.use", "kinto.plugins.accounts.AccountsPolicy"},
                         {"record_create_principals", "a b"},
                         {"bucket_create_principals", ""},
                         {"record_cache_expires_seconds", "60"},
                         {"blog.record_cache_expires_seconds", "30"},
                         {"plural_bucket_post_enabled", "false"},
                         {"object_record_delete_enabled", "true"},
                         {"record_id_generator", "kinto.core.storage.generators.UUID4"},
                         {"group_id_generator", "custom.Generator"},
                         {"paginate_by", "5"},
                         {"cors_max_age_seconds", ""},
                         {"account_cache_ttl_seconds", "2m"},
                         {"batch_max_requests", "null"},
                         {"prometheus_prefix", ""},
                         {"heartbeat_timeout_seconds", "500ms"},
                         {"cache_max_size_bytes", "1KiB"},
                         {"experimental_permissions_endpoint", "Yes"},
                         {"includes", "[\"kinto.plugins.flush\", \"kinto.plugins.history\"]"},
                         {"history.exclude_user_ids", "x y"}});
  ASSERT_EQ(c.policies.size(), 2u);
  EXPECT_EQ(c.policies[0].use, "kinto.plugins.accounts.AccountsPolicy");
  EXPECT_EQ(c.policies[1].use, "kinto.core.authentication.BasicAuthAuthenticationPolicy");
  EXPECT_EQ(c.granted("record_create_principals"), (Words{"a", "b"}));
  EXPECT_TRUE(c.granted("bucket_create_principals").empty());
  EXPECT_EQ(c.cache_expires.at("record"), 60);
  EXPECT_EQ(c.cache_expires.at("blog.record"), 30);
  EXPECT_EQ(c.disabled_endpoints.size(), 1u);
  EXPECT_EQ(c.disabled_endpoints.count("plural_bucket_post"), 1u);
  EXPECT_EQ(c.id_kinds.at("record"), IdKind::kUuid4);
  EXPECT_EQ(c.id_kinds.count("group"), 0u);
  EXPECT_EQ(c.paginate_by, 5u);
  EXPECT_EQ(c.cors_max_age_seconds, "");
  EXPECT_EQ(c.list("history.exclude_user_ids"), (Words{"x", "y"}));
  EXPECT_EQ(c.text("account_cache_ttl_seconds"), "120");
  EXPECT_EQ(c.batch_max_requests, std::nullopt);
  EXPECT_EQ(c.text("prometheus_prefix", "kinto"), "");
  EXPECT_EQ(c.text("prometheus_disabled_metrics", "none"), "none");
  EXPECT_EQ(c.text("heartbeat_timeout_seconds"), "0.5");
  EXPECT_EQ(c.text("cache_max_size_bytes"), "1024");
  EXPECT_EQ(c.text("experimental_permissions_endpoint"), "true");
  EXPECT_EQ(c.list("includes"), (Words{"kinto.plugins.flush", "kinto.plugins.history"}));
}

}  // namespace
}  // namespace godwit::kinto
