#include "kinto/configure.h"

#include <optional>

namespace godwit::kinto {
namespace {

using std::chrono::duration_cast;
using std::chrono::seconds;

bool endsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::optional<IdKind> idKind(std::string_view generator) {
  if (endsWith(generator, "NameGenerator")) return IdKind::kName;
  if (endsWith(generator, "RelaxedUUID")) return IdKind::kRelaxedUuid;
  if (endsWith(generator, "UUID4")) return IdKind::kUuid4;
  return std::nullopt;
}

// As text, since what is sent in a header is what was configured.
std::string textOf(const Settings& s, std::string_view key) {
  const Setting* setting = s.find(key);
  return setting == nullptr ? std::string() : setting->text();
}

std::optional<std::uint64_t> optCount(const Settings& s, std::string_view key) {
  auto i = s.optInt(key);
  if (!i || *i == 0) return std::nullopt;  // 0 is no limit
  return static_cast<std::uint64_t>(*i);
}

void readPolicies(Config& c, const Settings& s) {
  for (const std::string& name : s.getList("multiauth.policies")) {
    std::string fallback =
        name == "basicauth" ? "kinto.core.authentication.BasicAuthAuthenticationPolicy" : "";
    std::string prefix = "multiauth.policy." + name + ".";
    Config::PolicyConfig policy;
    policy.name = name;
    policy.use = s.getString(prefix + "use", fallback);
    policy.realm = s.getString(prefix + "realm", policy.realm);
    c.policies.push_back(std::move(policy));
  }
}

// What is named by pattern: principals, cache times, switched-off endpoints, id generators.
void readFamilies(Config& c, const Settings& s) {
  constexpr std::string_view kPrincipals = "_principals";
  constexpr std::string_view kCache = "_cache_expires_seconds";
  constexpr std::string_view kEnabled = "_enabled";
  constexpr std::string_view kGenerator = "_id_generator";
  for (const auto& [key, setting] : s.all()) {
    std::string_view k = key;
    // What was emptied on purpose stays empty, where a plugin has a default of its own.
    std::string text = s.plain(k);
    bool chosen = setting.origin.kind != OriginKind::kDefault;
    if (chosen || !text.empty()) c.raw.insert_or_assign(key, std::move(text));
    if (endsWith(k, kPrincipals)) {
      c.principals.insert_or_assign(key, s.getList(k));
    } else if (endsWith(k, kCache) && k != "root_cache_expires_seconds") {
      auto expires = s.optInt(k);
      if (!expires) continue;
      c.cache_expires.insert_or_assign(std::string(k.substr(0, k.size() - kCache.size())),
                                       *expires);
    } else if (endsWith(k, kEnabled) && setting.option != nullptr && setting.option->isPattern()) {
      if (!s.getBool(k, true))
        c.disabled_endpoints.emplace(k.substr(0, k.size() - kEnabled.size()));
    } else if (endsWith(k, kGenerator)) {
      auto kind = idKind(setting.text());
      if (kind)
        c.id_kinds.insert_or_assign(std::string(k.substr(0, k.size() - kGenerator.size())), *kind);
    }
  }
}

}  // namespace

Config configFrom(const Settings& s, std::string_view version) {
  Config c;
  c.project_name = textOf(s, "project_name");
  c.project_version = s.getString("project_version", version);
  c.project_docs = textOf(s, "project_docs");
  c.http_api_version = s.getString("http_api_version");
  c.http_scheme = s.getString("http_scheme");
  c.http_host = s.getString("http_host");
  c.readonly = s.getBool("readonly");
  if (auto most = s.optInt("batch_max_requests")) {
    c.batch_max_requests = static_cast<std::uint64_t>(*most);
  } else {
    c.batch_max_requests.reset();
  }
  c.paginate_by = optCount(s, "paginate_by");
  c.storage_max_fetch_size = optCount(s, "storage_max_fetch_size").value_or(10'000);
  c.pagination_token_validity =
      duration_cast<seconds>(s.getDuration("pagination_token_validity_seconds", seconds(600)));
  c.explicit_permissions = s.getBool("explicit_permissions", true);
  c.retry_after_seconds = textOf(s, "retry_after_seconds");
  c.backoff = s.getString("backoff");
  c.backoff_percentage = s.optNumber("backoff_percentage");
  c.eos = s.getString("eos");
  c.eos_message = s.getString("eos_message");
  c.eos_url = s.getString("eos_url");
  c.error_info_link = textOf(s, "error_info_link");
  c.root_cache_expires_seconds = s.getInt("root_cache_expires_seconds", 86'400);
  c.version_json_path = s.getString("version_json_path");
  c.version_prefix_redirect_enabled = s.getBool("version_prefix_redirect_enabled", true);
  c.version_prefix_redirect_ttl_seconds = s.getInt("version_prefix_redirect_ttl_seconds", -1);
  c.trailing_slash_redirect_enabled = s.getBool("trailing_slash_redirect_enabled", true);
  c.trailing_slash_redirect_ttl_seconds = s.getInt("trailing_slash_redirect_ttl_seconds", 3'600);
  c.cors_origins = s.getList("cors_origins");
  c.cors_max_age_seconds = textOf(s, "cors_max_age_seconds");
  if (c.cors_max_age_seconds == "0") c.cors_max_age_seconds.clear();  // as for the predecessor
  c.read_nearby = s.getBool("storage_read_for_all", false);
  c.heartbeat_timeout = s.getDuration("heartbeat_timeout_seconds", seconds(10));
  c.userid_hmac_secret = s.getString("userid_hmac_secret");
  readPolicies(c, s);
  readFamilies(c, s);
  return c;
}

}  // namespace godwit::kinto
