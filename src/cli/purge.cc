#include "ops/purge.h"

#include <chrono>

#include "base/options.h"
#include "cli/context.h"
#include "cli/prompt.h"
#include "json/value.h"
#include "kinto/stores.h"

namespace godwit::cli {
namespace {

std::optional<std::int64_t> midnight(const std::string& date) {
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  char rest = 0;
  if (std::sscanf(date.c_str(), "%4d-%2u-%2u%c", &year, &month, &day, &rest) != 3) {
    return std::nullopt;
  }
  std::chrono::year_month_day ymd{std::chrono::year(year), std::chrono::month(month),
                                  std::chrono::day(day)};
  if (!ymd.ok()) return std::nullopt;
  auto since = std::chrono::sys_days(ymd).time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

// An age ("90d"), a date in UTC or Unix milliseconds, as Unix milliseconds.
std::optional<std::int64_t> momentOf(const std::string& text) {
  if (auto date = midnight(text)) return date;
  bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  if (digits) return parseInt(text);
  auto age = parseDuration(text);
  if (!age) return std::nullopt;
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - *age).count();
}

}  // namespace

int purgeCommand(const Context& context) {
  bool tombstones = context.in.command == "purge tombstones";
  std::string what = tombstones ? "tombstones" : "entries of the history";
  ops::PurgeRequest request;
  if (!context.in.before.empty()) {
    request.before = momentOf(context.in.before);
    if (!request.before) {
      return context.fail("purge before " + context.in.before,
                          "neither an age (90d), a date (2026-01-31) nor milliseconds since 1970",
                          kExitUsage);
    }
  }
  auto settings = context.loadSettings(false);
  if (!settings) return kExitConfig;
  if (isReadonly(*settings)) {
    return context.fail("purge", "the server is readonly", kExitReadonly);
  }
  if (settings->backend("storage_backend") == "memory") {
    return context.fail("purge", "the configured storage is memory: only its server has it");
  }
  auto opened = kinto::openStores(*settings);
  if (!opened.ok()) return context.fail("purge", reasonOf(opened.error()));
  store::BlockingStore store(std::move(opened->backend), std::move(opened->cache));
  auto run = [&] {
    return tombstones ? ops::purgeTombstones(store, request) : ops::purgeHistory(store, request);
  };
  if (!context.in.dry_run) {
    std::string all = context.in.before.empty() ? "all " : "";
    if (!confirm(context, "forgetting " + all + what)) return kExitUnconfirmed;
  }
  request.dry_run = context.in.dry_run;
  auto gone = run();
  if (!gone.ok()) return context.fail("purge " + what, reasonOf(gone.error()));
  if (context.in.json) {
    json::Value v = json::Value::object();
    v.asObject().set(context.in.dry_run ? "would_purge" : "purged", *gone);
    context.print(json::dump(v));
  } else if (context.in.dry_run) {
    context.print("would forget " + std::to_string(*gone) + " " + what);
  }
  if (!context.in.dry_run) context.say("forgot " + std::to_string(*gone) + " " + what);
  return kExitOk;
}

}  // namespace godwit::cli
