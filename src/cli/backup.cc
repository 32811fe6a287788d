#include "ops/backup.h"

#include <unistd.h>

#include "cli/context.h"
#include "cli/progress.h"
#include "cli/prompt.h"
#include "cli/stack.h"
#include "json/value.h"
#include "kinto/stores.h"
#include "store/copy_source.h"
#include "store/postgresql/options.h"

namespace godwit::cli {
namespace {

// The SQLite file of the settings; says why there is none, and what to use instead.
std::optional<std::string> databaseOf(const Context& context, const kinto::Settings& settings,
                                      const std::string& what, const std::string& file) {
  auto url = kinto::storageUrl(settings);
  if (!url.ok()) {
    context.fail(what, url.error().message);
    return std::nullopt;
  }
  if (store::isSqliteUrl(*url)) return store::sqlitePath(*url);
  std::string hint = context.in.command == "backup"
                         ? "pg_dump --format=custom --file=" + file
                         : "pg_restore --clean --if-exists --dbname=... " + file;
  context.fail(what, "the store is PostgreSQL, which has tools of its own for it (hint: " + hint +
                         " '" + store::postgresql::publicUrl(*url) + "')");
  return std::nullopt;
}

// For those who look in one place for what `up` keeps in another.
std::string otherStore(const Context& context, const std::string& missing) {
  if (::access(missing.c_str(), F_OK) == 0) return "";
  auto stack = stackPlaces(context);
  if (stack.ok() && ::access(stack->ini.c_str(), F_OK) == 0) {
    return " (hint: godwit up has its store in " + stack->folder + ": --ini " + stack->ini + ")";
  }
  return " (hint: --data-dir DIR or --ini FILE names the store)";
}

json::Value asJson(const ops::BackupInfo& info) {
  json::Value v = json::Value::object();
  json::Object& o = v.asObject();
  o.set("made", info.made);
  o.set("bytes", info.bytes);
  o.set("sha256", info.sha256);
  o.set("objects", info.objects);
  o.set("tombstones", info.tombstones);
  return v;
}

std::string contents(const ops::BackupInfo& info) {
  return std::to_string(info.objects) + " objects and " + std::to_string(info.tombstones) +
         " tombstones of " + info.made;
}

}  // namespace

int backupCommand(const Context& context) {
  auto settings = context.loadSettings(false);
  if (!settings) return kExitConfig;
  const std::string& file = context.in.arguments.front();
  auto database = databaseOf(context, *settings, "back up", file);
  if (!database) return kExitFailed;
  std::optional<Result<ops::BackupReport>> done;
  {
    Progress progress(context, "compressing", Progress::Unit::kBytes);
    done = ops::backupSqlite(*database, file, context.in.yes,
                             [&](auto bytes, auto total) { progress.update(bytes, total); });
  }
  if (!done->ok()) {
    return context.fail("back up " + *database,
                        reasonOf(done->error()) + otherStore(context, *database));
  }
  const ops::BackupReport& r = **done;
  if (context.in.json) {
    json::Value v = asJson(r.info);
    v.asObject().set("file", file);
    v.asObject().set("compressed", r.compressed);
    context.print(json::dump(v));
  }
  context.say("backed up " + *database + " to " + file + ": " + contents(r.info) + ", " +
              std::to_string(r.compressed) + " bytes, read back and checked");
  return kExitOk;
}

int restoreCommand(const Context& context) {
  auto settings = context.loadSettings(false);
  if (!settings) return kExitConfig;
  const std::string& file = context.in.arguments.front();
  auto bar = [&](const char* what) {
    return std::make_shared<Progress>(context, what, Progress::Unit::kBytes);
  };
  if (context.in.verify || context.in.dry_run) {
    auto progress = bar("checking");
    auto info =
        ops::verifyBackup(file, [&](auto bytes, auto total) { progress->update(bytes, total); });
    progress.reset();
    if (!info.ok()) return context.fail("use " + file, reasonOf(info.error()));
    if (context.in.json) context.print(json::dump(asJson(*info)));
    context.say(file + " is good: " + contents(*info));
    if (context.in.verify) return kExitOk;
  }
  auto database = databaseOf(context, *settings, "restore", file);
  if (!database) return kExitFailed;
  bool there = ::access(database->c_str(), F_OK) == 0;
  if (context.in.dry_run) {
    auto user = ops::whoUses(*database);
    bool used = user.ok() && *user != 0;
    context.print("would put it in the place of " + *database +
                  (used ? ", which is in use: stop the server first" : ""));
    return kExitOk;
  }
  if (auto made = kinto::dataFolder(*settings); !made.ok()) {
    return context.fail("restore " + file, reasonOf(made.error()));
  }
  if (there && !confirm(context, "replacing " + *database)) return kExitUnconfirmed;
  auto progress = bar("restoring");
  auto done = ops::restoreSqlite(file, *database,
                                 [&](auto bytes, auto total) { progress->update(bytes, total); });
  progress.reset();
  if (!done.ok()) return context.fail("restore " + file, reasonOf(done.error()));
  if (context.in.json) {
    json::Value v = asJson(done->info);
    v.asObject().set("kept", done->kept);
    context.print(json::dump(v));
  }
  context.say("restored " + contents(done->info) + " to " + *database +
              (done->kept.empty() ? "" : "; what was there is now " + done->kept));
  return kExitOk;
}

}  // namespace godwit::cli
