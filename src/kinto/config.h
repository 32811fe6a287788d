#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::kinto {

// Which ids a resource accepts and which it makes up.
enum class IdKind : std::uint8_t {
  kName,         // accepts [a-zA-Z0-9][a-zA-Z0-9_-]*, makes 8 such characters
  kRelaxedUuid,  // accepts the same, makes a UUID
  kUuid4,        // a UUID only
  kAccount,      // as kName, and '+', '.', '@'
};

// What the handlers need of the settings, typed and checked once at start. Immutable afterwards.
struct Config {
  struct PolicyConfig {
    std::string name;  // as in multiauth.policies
    std::string use;   // Python path of the predecessor's class, tells which policy is meant
    std::string realm = "Realm";  // of WWW-Authenticate
  };

  std::string project_name = "kinto";
  std::string project_version;
  std::string project_docs = "https://kinto.readthedocs.io/";
  std::string http_api_version = "1.23";
  std::string http_scheme;  // "" follows the request
  std::string http_host;
  std::string config_json = "null";  // hello's "config"
  bool readonly = false;
  std::optional<std::uint64_t> batch_max_requests = 25;
  std::optional<std::uint64_t> paginate_by;
  std::uint64_t storage_max_fetch_size = 10'000;
  std::chrono::seconds pagination_token_validity{600};
  bool explicit_permissions = true;
  std::string retry_after_seconds = "3";
  std::string backoff;  // "" for no header
  std::optional<double> backoff_percentage;
  std::string eos;  // "" for none; else a date
  std::string eos_message;
  std::string eos_url;
  std::string error_info_link = "https://github.com/Kinto/kinto/issues/";
  std::int64_t root_cache_expires_seconds = 86'400;
  std::string version_json_path = "version.json";
  bool version_prefix_redirect_enabled = true;
  std::int64_t version_prefix_redirect_ttl_seconds = -1;
  bool trailing_slash_redirect_enabled = true;
  std::int64_t trailing_slash_redirect_ttl_seconds = 3'600;
  std::vector<std::string> cors_origins = {"*"};
  std::string cors_max_age_seconds = "3600";  // "" for no header
  std::chrono::milliseconds heartbeat_timeout{10'000};
  bool read_nearby = false;  // reads of signed-in users, too, may see a state that is a little old
  std::string userid_hmac_secret;
  std::vector<PolicyConfig> policies;
  std::map<std::string, IdKind, std::less<>> id_kinds;  // by resource name
  // "bucket_create_principals" and the like -> principals.
  std::map<std::string, std::vector<std::string>, std::less<>> principals = {
      {"bucket_create_principals", {"system.Authenticated"}},
      {"permissions_read_principals", {"system.Everyone"}}};
  // What precedes "_cache_expires_seconds": "record", "blog.record", "blog.posts.record".
  std::map<std::string, std::int64_t, std::less<>> cache_expires;
  // "plural_bucket_post", "object_record_delete"
  std::set<std::string, std::less<>> disabled_endpoints;
  // Every setting as text, without prefix, for plugins.
  std::map<std::string, std::string, std::less<>> raw;

  Config() = default;

  // The setting's text, or `fallback`.
  [[nodiscard]] std::string text(std::string_view key, std::string_view fallback = {}) const;
  [[nodiscard]] bool flag(std::string_view key, bool fallback = false) const;
  // White-space separated values.
  [[nodiscard]] std::vector<std::string> list(std::string_view key) const;
  // Principals granted `key` ("record_read_principals"); empty when none.
  [[nodiscard]] const std::vector<std::string>& granted(std::string_view key) const;
  // "v1"
  [[nodiscard]] std::string routePrefix() const;
};

}  // namespace godwit::kinto
