#include "kinto/settings.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <set>

#include "kinto/endpoints.gen.h"
#include "kinto/errors.gen.h"
#include "kinto/options.gen.h"

namespace godwit::kinto {
namespace {

using std::chrono::seconds;
using Words = std::vector<std::string>;

class SettingsTest : public testing::Test {
 protected:
  void ini(const std::string& text) {
    input.ini = path_;
    std::ofstream(path_) << text;
  }
  void app(const std::string& text) { ini("[app:main]\nuse = egg:kinto\n" + text); }
  Settings good() {
    auto s = Settings::load(input);
    EXPECT_TRUE(s.ok()) << (s.ok() ? "" : s.error().message);
    return s.ok() ? *s : Settings();
  }
  // Without the path of the file.
  std::string bad() {
    auto s = Settings::load(input);
    return s.ok() ? "accepted" : bare(s.error().message);
  }
  std::string bare(std::string text) const {
    for (std::size_t at; (at = text.find(path_)) != std::string::npos;) {
      text.replace(at, path_.size(), "f");
    }
    return text;
  }
  std::string warnings(const Settings& s) const {
    std::string all;
    for (const std::string& w : s.warnings()) all += bare(w) + "\n";
    return all;
  }
  void TearDown() override { ::unlink(path_.c_str()); }

  SettingsInput input;

 private:
  std::string path_ = testing::TempDir() + "settings_test." + std::to_string(::getpid()) + ".ini";
};

TEST_F(SettingsTest, defaults_are_those_of_the_table) {
  Settings s;
  EXPECT_EQ(s.getInt("batch_max_requests"), 25);
  EXPECT_FALSE(s.getBool("readonly"));
  EXPECT_TRUE(s.getBool("explicit_permissions"));
  EXPECT_EQ(s.getList("bucket_create_principals"), Words{"system.Authenticated"});
  EXPECT_EQ(s.getDuration("heartbeat_timeout_seconds"), seconds(10));
  EXPECT_EQ(s.getSize("godwit.max_header_bytes"), 16384u);
  EXPECT_EQ(s.getString("http_api_version"), "1.23");
  EXPECT_EQ(s.optInt("paginate_by"), std::nullopt);
  EXPECT_FALSE(s.has("backoff"));
  EXPECT_EQ(s.find("readonly")->origin.text(), "default");
  EXPECT_EQ(s.getString("multiauth.policy.any.header_type"), "Bearer");
  EXPECT_EQ(s.backend("cache_backend"), "sqlite");
}

TEST_F(SettingsTest, stronger_sources_win_and_are_named) {
  app("kinto.paginate_by = 10\nkinto.batch_max_requests = 11\nreadonly = true\n");
  input.environment = {{"KINTO_PAGINATE_BY", "20"}, {"BACKOFF", "5"}, {"KINTO_BACKOFF", "6"}};
  input.flags = {{"godwit.port", "9000", "--port"}};
  Settings s = good();
  EXPECT_EQ(s.getInt("batch_max_requests"), 11);
  EXPECT_EQ(bare(s.find("batch_max_requests")->origin.text()), "f:4");
  EXPECT_TRUE(s.getBool("readonly"));
  EXPECT_EQ(s.getInt("paginate_by"), 20);
  EXPECT_EQ(s.find("paginate_by")->origin.text(), "environment KINTO_PAGINATE_BY");
  EXPECT_EQ(s.getInt("backoff"), 6);
  EXPECT_EQ(s.getInt("godwit.port"), 9000);
  EXPECT_EQ(s.find("godwit.port")->origin.text(), "flag --port");
  EXPECT_EQ(warnings(s), "");
}

TEST_F(SettingsTest, values_are_read_as_json_when_they_are) {
  app("kinto.eos_message = \"Too old\"\n"
      "kinto.project_version = 1.10\n"
      "kinto.includes = [\"kinto.plugins.history\", \"kinto.plugins.flush\"]\n"
      "kinto.cors_origins = http://a http://b\n"
      "    http://c\n"
      "kinto.backoff = null\n"
      "kinto.paginate_by =\n"
      "kinto.http_host = null\n");
  Settings s = good();
  EXPECT_EQ(s.getString("eos_message"), "Too old");
  EXPECT_EQ(s.getString("project_version"), "1.10");
  EXPECT_EQ(s.getList("includes"), (Words{"kinto.plugins.history", "kinto.plugins.flush"}));
  EXPECT_EQ(s.getList("cors_origins"), (Words{"http://a", "http://b", "http://c"}));
  EXPECT_EQ(s.optInt("backoff"), std::nullopt);
  EXPECT_EQ(s.optInt("paginate_by"), std::nullopt);
  EXPECT_FALSE(s.has("http_host"));
  EXPECT_EQ(s.raw("eos_message"), "\"Too old\"");
}

TEST_F(SettingsTest, prefixed_and_bare_keys_must_agree) {
  app("kinto.readonly = true\nreadonly = true\n");
  EXPECT_TRUE(good().getBool("readonly"));
  app("kinto.readonly = true\nreadonly = false\n");
  EXPECT_EQ(bad(), "settings 'kinto.readonly' (f:3) and 'readonly' (f:4) are in conflict");
}

TEST_F(SettingsTest, impossible_values_are_all_named) {
  app("kinto.batch_max_requests = many\nkinto.readonly = perhaps\nkinto.storage_backend = "
      "kinto.core.storage.redis\n");
  input.flags = {{"godwit.port", "70000", "--port"}};
  EXPECT_EQ(bad(),
            "setting 'batch_max_requests' (f:3): 'many' is not a whole number\n"
            "setting 'godwit.port' (flag --port): '70000' is not between 0 and 65535\n"
            "setting 'readonly' (f:4): 'perhaps' is neither true nor false\n"
            "setting 'storage_backend' (f:5): 'kinto.core.storage.redis' is not one of sqlite, "
            "memory, postgresql, godwit.sqlite, kinto.core.storage.memory, "
            "kinto.core.storage.postgresql, cliquet.storage.memory, cliquet.storage.postgresql");
}

TEST_F(SettingsTest, slips_and_settings_without_effect_are_warned_of) {
  app("kinto.readonyl = true\n"
      "kinto.bucket_craete_principals = system.Everyone\n"
      "kinto.utterly_unlike_anything = 1\n"
      "unprefixed.thing = 1\n"
      "kinto.newrelic_config = /x\n"
      "kinto.transaction_per_request = true\n"
      "kinto.includes = kinto.plugins.history kinto_attachment\n");
  input.environment = {{"KINTO_REDONLY", "1"},
                       {"KINTO_INI", "x"},
                       {"KINTO_IMAGE_FLAVOUR", "x"},
                       {"GODWIT_BIN", "x"}};
  EXPECT_EQ(warnings(good()),
            "f:3: unknown setting 'kinto.readonyl' (did you mean kinto.readonly?)\n"
            "f:4: unknown setting 'kinto.bucket_craete_principals' (did you mean "
            "kinto.bucket_create_principals?)\n"
            "f:5: unknown setting 'kinto.utterly_unlike_anything'\n"
            "environment KINTO_REDONLY: unknown setting (did you mean KINTO_READONLY?)\n"
            "f:7: setting 'newrelic_config' has no effect: New Relic's agent works inside Python\n"
            "f:9: plugin 'kinto_attachment' is not built in and is left out\n");
}

TEST_F(SettingsTest, what_is_not_enforced_is_said_so) {
  app("kinto.includes = kinto.plugins.signer kinto.plugins.history\n"
      "kinto.profiler_enabled = true\n"
      "kinto.quotas.collection_blog_max_items = 10\n");
  std::string said = warnings(good());
  EXPECT_NE(said.find("'profiler_enabled' has no effect"), std::string::npos) << said;
  EXPECT_NE(said.find("'kinto.plugins.signer' is not built in"), std::string::npos) << said;
  EXPECT_EQ(said.find("quotas"), std::string::npos) << said;
  EXPECT_EQ(said.find("history"), std::string::npos) << said;
}

TEST_F(SettingsTest, patterned_keys_are_known_and_found) {
  app("multiauth.policies = account google\n"
      "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n"
      "multiauth.policy.google.client_secret = hush\n"
      "kinto.record_cache_expires_seconds = 3600\n"
      "kinto.blog.record_cache_expires_seconds = 30\n"
      "kinto.blog.articles.record_cache_expires_seconds = 60\n"
      "kinto.blog_articles_record_cache_expires_seconds = 60\n"
      "kinto.plural_bucket_post_enabled = false\n"
      "kinto.event_listeners = redis\n"
      "kinto.event_listeners.redis.use = kinto_redis.listeners\n");
  input.environment = {{"KINTO_MULTIAUTH_POLICY_GOOGLE_CLIENT_ID", "abc"},
                       {"KINTO_RECORD_CREATE_PRINCIPALS", "system.Everyone"},
                       {"KINTO_BLOG_RECORD_CACHE_EXPIRES_SECONDS", "31"}};
  Settings s = good();
  EXPECT_EQ(warnings(s).find("unknown"), std::string::npos);
  EXPECT_EQ(s.getString("multiauth.policy.google.client_id"), "abc");
  EXPECT_EQ(s.getList("record_create_principals"), Words{"system.Everyone"});
  EXPECT_EQ(s.getInt("blog.record_cache_expires_seconds"), 31);
  EXPECT_FALSE(s.getBool("plural_bucket_post_enabled", true));
  EXPECT_TRUE(s.getBool("object_record_get_enabled", true));
  auto policies = s.prefixed("multiauth.policy.");
  ASSERT_EQ(policies.size(), 3u);
  EXPECT_EQ(policies[0].first, "account.use");
  EXPECT_EQ(s.find("multiauth.policy.google.client_secret")
                ->shown("multiauth.policy.google.client_secret"),
            "***");
}

TEST_F(SettingsTest, old_names_still_work) {
  app("cliquet.storage_backend = cliquet.storage.postgresql\n"
      "cliquet.storage_url = postgresql://u:hush@h/d\n"
      "kinto.storage_pool_maxconn = 7\n");
  input.environment = {{"KINTO_CACHE_POOL_MAXCONN", "8"}};
  Settings s = good();
  EXPECT_EQ(s.backend("storage_backend"), "postgresql");
  EXPECT_EQ(s.backend("permission_backend"), "postgresql");
  EXPECT_EQ(s.getInt("storage_pool_size"), 7);
  EXPECT_EQ(s.getInt("cache_pool_size"), 8);
  EXPECT_EQ(s.find("storage_url")->shown("storage_url"), "postgresql://u:***@h/d");
}

TEST_F(SettingsTest, server_and_uwsgi_sections_are_understood) {
  ini("[server:main]\nuse = egg:waitress#main\nhost = 0.0.0.0\nport = %(http_port)s\n"
      "[app:main]\nuse = egg:kinto\n"
      "[uwsgi]\nhttp-socket = :9999\nprocesses = 3\nharakiri = 15\nuid = kinto\n"
      "buffer-size = 8192\nsocket = /run/x.sock\nchdir = %d\n");
  input.variables["http_port"] = "7777";
  Settings s = good();
  EXPECT_EQ(s.getString("godwit.host"), "0.0.0.0");
  EXPECT_EQ(s.getInt("godwit.port"), 7777);
  EXPECT_EQ(s.getInt("godwit.threads"), 3);
  EXPECT_EQ(s.getDuration("godwit.request_timeout"), seconds(15));
  EXPECT_EQ(s.getString("godwit.uid"), "kinto");
  EXPECT_EQ(s.getSize("godwit.max_header_bytes"), 8192u);
  EXPECT_NE(warnings(s).find("speaks the uwsgi protocol"), std::string::npos);
  ini("[app:main]\ngodwit.port = 1\n[godwit]\nport = 2\nthreads = 5\n"
      "[server:main]\nport = 3\n[uwsgi]\nhttp-socket = 127.0.0.1:4\n");
  s = good();
  EXPECT_EQ(s.getInt("godwit.port"), 2);
  EXPECT_EQ(s.getString("godwit.host"), "127.0.0.1");
  EXPECT_EQ(s.getInt("godwit.threads"), 5);
}

TEST_F(SettingsTest, logging_sections_choose_format_and_level) {
  ini("[app:main]\nuse = egg:kinto\n[logger_root]\nlevel = WARNING\nhandlers = console, sentry\n"
      "[handler_console]\nformatter = json\nargs = (sys.stderr,)\n"
      "[formatter_json]\nclass = kinto.core.JsonLogFormatter\n"
      "[formatter_generic]\nformat = %(asctime)s %(levelname)-5.5s\n");
  Settings s = good();
  EXPECT_EQ(s.getString("godwit.log_level"), "warn");
  EXPECT_EQ(s.getString("godwit.log_format"), "json");
}

TEST_F(SettingsTest, data_folder_comes_from_the_environment) {
  input.environment = {{"HOME", "/h"}};
  EXPECT_EQ(good().getString("godwit.data_dir"), "/h/.local/state/godwit");
  input.environment.emplace_back("XDG_STATE_HOME", "/x");
  EXPECT_EQ(good().getString("godwit.data_dir"), "/x/godwit");
  input.environment.emplace_back("STATE_DIRECTORY", "/var/lib/a:/var/lib/b");
  EXPECT_EQ(good().getString("godwit.data_dir"), "/var/lib/a");
  input.environment.emplace_back("GODWIT_DATA_DIR", "/g");
  EXPECT_EQ(good().getString("godwit.data_dir"), "/g");
}

TEST_F(SettingsTest, what_cannot_be_followed_is_said) {
  app("kinto.storage_backend = kinto.core.storage.postgresql\n"
      "kinto.permission_backend = kinto.core.permission.memory\n"
      "kinto.group_id_generator = mine.Generator\n"
      "kinto.record_id_generator = kinto.views.RelaxedUUID\n");
  EXPECT_EQ(
      warnings(good()),
      "f:4: permissions are kept in the storage backend (postgresql), so that both change in "
      "one transaction\n"
      "f:5: setting 'group_id_generator': Python class 'mine.Generator' cannot be loaded, ids "
      "are made as by default\n");
}

TEST_F(SettingsTest, a_file_that_is_no_configuration_says_so) {
  ini("[other]\nx = 1\n");
  EXPECT_EQ(bad(), "f: has no section [app:main] (hint: godwit config example)");
  app("kinto.storage_url = a%b\n");
  EXPECT_NE(bad().find("f:3: value of 'kinto.storage_url': '%' must be"), std::string::npos);
}

TEST(Tables, hold_together) {
  std::set<std::string> names;
  for (const EndpointDef& e : endpoints()) {
    EXPECT_TRUE(names.insert(std::string(e.name)).second) << e.name;
    EXPECT_EQ(e.path[0], '/') << e.name;
    EXPECT_EQ(e.kind == EndpointKind::kService, e.resource.empty()) << e.name;
    EXPECT_EQ(findEndpoint(e.name), &e);
  }
  EXPECT_EQ(findEndpoint("none"), nullptr);
  for (const ErrorDef& e : kErrors) {
    EXPECT_EQ(findError(e.errno_code), &e);
    EXPECT_GE(e.status, 400);
  }
  for (const OptionDef& o : options()) {
    EXPECT_FALSE(o.help.empty()) << o.key;
    EXPECT_EQ(whyNot(o, o.fallback), "") << o.key;
  }
}

}  // namespace
}  // namespace godwit::kinto
