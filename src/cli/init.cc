#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/os_error.h"
#include "base/random.h"
#include "base/unique_fd.h"
#include "cli/context.h"

namespace godwit::cli {
namespace {

constexpr char kPostgres[] = "postgresql://postgres:postgres@localhost/postgres";

// A name that is free: FILE.1, FILE.2, ...
Result<std::string> setAside(const std::string& path) {
  constexpr int kMost = 1000;
  for (int n = 1; n <= kMost; ++n) {
    std::string aside = path + "." + std::to_string(n);
    if (::link(path.c_str(), aside.c_str()) == 0) {
      if (::unlink(path.c_str()) == 0) return aside;
      return osError("remove " + path);
    }
    if (errno != EEXIST) return osError("keep " + path);
  }
  return Error(ErrorCode::kLimit, path + ".1 to ." + std::to_string(kMost) + " are all taken");
}

// Fails when the file exists. Readable by its owner only: it holds secrets.
Result<void> writeNew(const std::string& path, const std::string& text) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return osError("create " + path);
  std::size_t done = 0;
  while (done < text.size()) {
    ssize_t n = ::write(fd.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      Error e = osError("write " + path);
      ::unlink(path.c_str());
      return e;
    }
    done += static_cast<std::size_t>(n);
  }
  return {};
}

}  // namespace

int initCommand(const Context& context) {
  namespace fs = std::filesystem;
  std::string path = context.iniPath(true);
  std::error_code ec;
  bool there = fs::exists(path, ec);
  if (there && !context.in.replace) {
    context.warn(path + " already exists.");
    return kExitFailed;
  }
  std::string backend = context.in.backend.empty() ? "sqlite" : context.in.backend;
  std::string cache = context.in.cache_backend.empty() ? backend : context.in.cache_backend;
  // Kinto's names where Kinto has one, so that it can read the file too.
  auto named = [](const char* layer, const std::string& b) {
    return b == "sqlite" ? b : std::string("kinto.core.") + layer + "." + b;
  };
  std::vector<std::pair<std::string, std::string>> active = {
      {"godwit.host", context.in.host.empty() ? "127.0.0.1" : context.in.host},
      {"includes", "kinto.plugins.default_bucket\nkinto.plugins.accounts"},
      {"storage_backend", named("storage", backend)},
      {"permission_backend", named("permission", backend)},
      {"cache_backend", named("cache", cache)},
      {"userid_hmac_secret", randomHex(32)},
      {"default_bucket_hmac_secret", randomHex(32)},
      {"multiauth.policies", "account"},
      {"multiauth.policy.account.use", "kinto.plugins.accounts.AccountsPolicy"},
      {"account_create_principals", "system.Everyone"},
      {"account_write_principals", "account:admin"},
      {"bucket_create_principals", "account:admin"}};
  if (there) {
    // Where it listens and keeps things is not what is replaced.
    kinto::SettingsInput old;
    old.ini = path;
    auto settings = kinto::Settings::load(old);
    if (!settings.ok()) return context.fail("read " + path, settings.error().message, kExitConfig);
    for (const auto& [key, setting] : settings->all()) {
      bool own = key.starts_with("godwit.") && setting.origin.kind == OriginKind::kFile;
      if (own && key != "godwit.host") active.emplace_back(key, setting.text());
    }
  }
  if (backend == "postgresql") active.emplace_back("storage_url", kPostgres);
  if (cache == "postgresql") active.emplace_back("cache_url", kPostgres);
  if (cache == "redis") active.emplace_back("cache_url", "redis://127.0.0.1/0");
  if (cache == "memcached") active.emplace_back("cache_hosts", "127.0.0.1:11211");
  if (fs::path folder = fs::path(path).parent_path(); !folder.empty()) {
    fs::create_directories(folder, ec);
    if (ec) return context.fail("create folder " + folder.string(), ec.message());
  }
  if (there) {
    auto aside = setAside(path);
    if (!aside.ok()) return context.fail("replace " + path, aside.error().message);
    context.say("Kept the old one as " + *aside);
  }
  if (auto r = writeNew(path, configurationText(active)); !r.ok()) {
    return context.fail("write the configuration", r.error().message);
  }
  context.say("Created " + path + " (next: godwit create-user --ini " + path +
              " -u admin, then godwit serve --ini " + path + ")");
  return kExitOk;
}

}  // namespace godwit::cli
