#include "store/postgresql/options.h"

#include <charconv>

namespace godwit::store::postgresql {

namespace {

constexpr std::size_t kMaxPool = 1000;
constexpr std::size_t kMaxBacklog = 100'000;

using Settings = std::map<std::string, std::string>;

struct Reader {
  const Settings& settings;
  std::string_view prefix;
  std::string bad;  // first setting that is wrong

  const std::string* find(std::string_view key) const {
    auto it = settings.find(std::string(prefix) + std::string(key));
    return it == settings.end() ? nullptr : &it->second;
  }
  // Leaves `out` alone when the setting is absent. Fractions are allowed and cut off (SQLAlchemy's
  // timeouts are floats).
  void number(std::string_view key, long& out) {
    const auto* text = find(key);
    if (!text || text->empty()) return;
    double value = 0;
    auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (ec != std::errc() || end != text->data() + text->size() || value < -1 || value > 1e9) {
      if (bad.empty()) bad = std::string(prefix) + std::string(key);
      return;
    }
    out = static_cast<long>(value);
  }
};

}  // namespace

bool isPostgresUrl(std::string_view url) {
  auto scheme = url.substr(0, url.find("://"));
  auto plain = scheme.substr(0, scheme.find('+'));
  return scheme.size() < url.size() && (plain == "postgresql" || plain == "postgres");
}

std::string libpqUrl(std::string_view url) {
  if (!isPostgresUrl(url)) return std::string(url);
  return "postgresql" + std::string(url.substr(url.find("://")));
}

std::string publicUrl(std::string_view url) {
  auto start = url.find("://");
  if (start == std::string_view::npos) return "(database)";
  start += 3;
  auto at = url.substr(0, url.find('/', start)).rfind('@');
  std::string out(url.substr(0, url.find('?')));
  if (at != std::string_view::npos) {
    auto colon = out.find(':', start);
    if (colon != std::string::npos && colon < at) out.erase(colon, at - colon);
  }
  return out;
}

Result<Options> optionsFrom(const Settings& settings, std::string_view prefix) {
  Options out;
  Reader in{settings, prefix, {}};
  const auto* url = in.find("url");
  if (!url || url->empty()) {
    return Error(ErrorCode::kInvalid, std::string(prefix) + "url is not set");
  }
  if (!isPostgresUrl(*url)) {
    return Error(ErrorCode::kInvalid,
                 std::string(prefix) + "url must start with postgresql:// for this backend");
  }
  out.url = libpqUrl(*url);

  long size = static_cast<long>(out.pool_size);
  long overflow = static_cast<long>(out.max_overflow);
  long timeout = 30;
  long recycle = -1;
  long backlog = -1;
  long fetch = static_cast<long>(out.max_fetch_size);
  in.number("pool_size", size);
  in.number("maxoverflow", overflow);
  in.number("max_overflow", overflow);
  in.number("pool_timeout", timeout);
  in.number("pool_recycle", recycle);
  in.number("max_backlog", backlog);
  in.number("max_fetch_size", fetch);
  if (!in.bad.empty()) return Error(ErrorCode::kInvalid, in.bad + " is not a number in range");

  // SQLAlchemy reads 0 and -1 as "no limit"; nothing is unlimited here.
  out.pool_size =
      size <= 0 ? kMaxPool : std::min<std::size_t>(static_cast<std::size_t>(size), kMaxPool);
  out.max_overflow =
      overflow < 0 ? kMaxPool : std::min<std::size_t>(static_cast<std::size_t>(overflow), kMaxPool);
  if (timeout > 0) out.pool_timeout = std::chrono::seconds(timeout);
  out.pool_recycle = recycle < 0 ? std::chrono::milliseconds(-1) : std::chrono::seconds(recycle);
  if (backlog >= 0) {
    out.max_backlog = std::min<std::size_t>(static_cast<std::size_t>(backlog), kMaxBacklog);
  }
  if (fetch > 0) out.max_fetch_size = static_cast<std::uint64_t>(fetch);
  if (const auto* replica = in.find("read_url"); replica && !replica->empty()) {
    if (!isPostgresUrl(*replica)) {
      return Error(ErrorCode::kInvalid,
                   std::string(prefix) + "read_url must start with postgresql://");
    }
    out.read_url = libpqUrl(*replica);
    long staleness = static_cast<long>(out.read_staleness.count());
    in.number("read_staleness_ms", staleness);
    if (!in.bad.empty()) return Error(ErrorCode::kInvalid, in.bad + " is not a number in range");
    out.read_staleness = std::chrono::milliseconds(std::max(0L, staleness));
  }
  if (const auto* share = in.find("share_commits")) {
    if (*share != "true" && *share != "false") {
      return Error(ErrorCode::kInvalid, std::string(prefix) + "share_commits is not true or false");
    }
    out.share_commits = *share == "true";
  }
  return out;
}

}  // namespace godwit::store::postgresql
