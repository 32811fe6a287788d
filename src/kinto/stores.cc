#include "kinto/stores.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "base/os_error.h"
#include "store/memory/memory.h"
#include "store/postgresql/backend.h"
#include "store/postgresql/cache.h"
#include "store/postgresql/migrate.h"
#include "store/redis/cache.h"
#include "store/sqlite/sqlite.h"

namespace godwit::kinto {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before threads start
  return value ? value : "";
}

constexpr std::chrono::seconds kInspect{10};

std::map<std::string, std::string> texts(const Settings& settings) {
  std::map<std::string, std::string> out;
  for (const auto& [key, setting] : settings.all()) out.emplace(key, setting.text());
  return out;
}

// PostgreSQL as `prefix` ("storage_", "cache_") describes it, its schema checked.
Result<store::postgresql::Options> postgres(const Settings& settings, std::string_view prefix,
                                            bool cache) {
  auto options = store::postgresql::optionsFrom(texts(settings), prefix);
  if (!options.ok()) return options;
  auto state = store::postgresql::inspect(options->url, Deadline::after(kInspect));
  if (!state.ok()) return std::move(state).error();
  GODWIT_TRY(store::postgresql::checkServable(*state, !cache, !cache, cache));
  return options;
}

Error unsupported(const std::string& setting, const std::string& value) {
  std::string hint = value == "memcached" ? "memcached is not supported (hint: use redis)"
                                          : "\"" + value + "\" is not supported by this build";
  return Error(ErrorCode::kInvalid, setting + ": " + hint);
}

std::unique_ptr<store::Cache> memoryCache(const Settings& settings) {
  store::MemoryCacheLimits limits;
  limits.max_bytes = static_cast<std::size_t>(
      settings.getSize("cache_max_size_bytes", static_cast<std::uint64_t>(limits.max_bytes)));
  return store::makeMemoryCache(limits);
}

// The file that storage_url = sqlite:///path/of/file names; "" for the one in the data folder.
std::string namedFile(const Settings& settings) {
  constexpr std::string_view kScheme = "sqlite://";
  std::string url = settings.getString("storage_url");
  return url.starts_with(kScheme) ? url.substr(kScheme.size()) : std::string();
}

std::string fileIn(const std::string& folder) { return folder + "/godwit.db"; }

Result<std::string> sqliteFile(const Settings& settings, bool holds_objects) {
  if (std::string named = namedFile(settings); holds_objects && !named.empty()) return named;
  auto folder = dataFolder(settings);
  if (!folder.ok()) return folder;
  return fileIn(*folder);
}

}  // namespace

Result<std::string> dataFolderPath(const Settings& settings) {
  std::string folder = settings.getString("godwit.data_dir");
  if (folder.empty()) folder = environment("STATE_DIRECTORY");
  // systemd separates several by colons; the first is ours.
  folder = folder.substr(0, folder.find(':'));
  if (folder.empty()) {
    std::string state = environment("XDG_STATE_HOME");
    if (state.empty() && !environment("HOME").empty())
      state = environment("HOME") + "/.local/state";
    if (state.empty())
      return Error(ErrorCode::kInvalid, "no folder for data is known (hint: --data-dir DIR)");
    folder = state + "/godwit";
  }
  std::error_code failed;
  std::filesystem::path path = std::filesystem::absolute(folder, failed);
  if (!path.has_filename()) path = path.parent_path();
  return path.string();
}

Result<std::string> dataFolder(const Settings& settings) {
  auto folder = dataFolderPath(settings);
  if (!folder.ok()) return folder;
  std::error_code failed;
  std::filesystem::path path = *folder;
  std::filesystem::create_directories(path.parent_path(), failed);
  bool there = ::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST;
  if (!there || ::access((path / ".").c_str(), W_OK | X_OK) != 0) {
    Error why = osError("write to the data folder " + path.string());
    why.message += " (hint: --data-dir DIR or godwit.data_dir names another)";
    return why;
  }
  return path.string();
}

Result<std::string> storageUrl(const Settings& settings) {
  std::string storage = settings.backend("storage_backend");
  if (storage == "postgresql") return settings.getString("storage_url");
  if (storage == "memory") {
    return Error(ErrorCode::kUnsupported,
                 "the configured storage is memory: only its server has it (hint: ask the server, "
                 "--from http://127.0.0.1:8888/v1)");
  }
  if (std::string named = namedFile(settings); !named.empty()) return "sqlite:" + named;
  auto folder = dataFolderPath(settings);
  if (!folder.ok()) return folder;
  return "sqlite:" + fileIn(*folder);
}

Result<Stores> openStores(const Settings& settings) {
  Stores out;
  std::string storage = settings.backend("storage_backend");
  std::string cache = settings.backend("cache_backend");
  // Permissions are always kept with the objects; Settings warns of another choice.
  if (storage.empty()) storage = "sqlite";
  if (cache.empty()) cache = storage;
  if (storage == "sqlite" || cache == "sqlite") {
    auto file = sqliteFile(settings, storage == "sqlite");
    if (!file.ok()) return std::move(file).error();
    store::SqliteOptions options(*file);
    options.cache_max_bytes = static_cast<std::size_t>(settings.getSize(
        "cache_max_size_bytes", static_cast<std::uint64_t>(options.cache_max_bytes)));
    auto opened = store::openSqlite(options);
    if (!opened.ok()) return std::move(opened).error();
    out.backend = std::move(opened->backend);
    out.cache = std::move(opened->cache);
    out.place = options.path;
  }
  if (storage == "memory") {
    out.backend = store::makeMemoryBackend();
    out.place = "memory (gone when the server ends)";
  } else if (storage == "postgresql") {
    auto options = postgres(settings, "storage_", false);
    if (!options.ok()) return std::move(options).error();
    out.place = store::postgresql::publicUrl(options->url);
    out.backend = std::make_unique<store::postgresql::PgBackend>(std::move(*options));
  } else if (storage != "sqlite") {
    return unsupported("storage_backend", storage);
  }
  if (cache == "memory") {
    out.cache = memoryCache(settings);
  } else if (cache == "postgresql") {
    auto options = postgres(settings, settings.has("cache_url") ? "cache_" : "storage_", true);
    if (!options.ok()) return std::move(options).error();
    out.cache = std::make_unique<store::postgresql::PgCache>(std::move(*options),
                                                             settings.getString("cache_prefix"));
  } else if (cache == "redis") {
    auto options =
        store::redis::parseUrl(settings.getString("cache_url", "redis://127.0.0.1:6379"));
    if (!options.ok()) return std::move(options).error();
    options->prefix = settings.getString("cache_prefix");
    out.cache = std::make_unique<store::redis::RedisCache>(std::move(*options));
  } else if (cache != "sqlite") {
    return unsupported("cache_backend", cache);
  }
  return out;
}

}  // namespace godwit::kinto
