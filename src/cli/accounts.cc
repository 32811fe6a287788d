#include "ops/accounts.h"

#include "cli/context.h"
#include "cli/prompt.h"
#include "json/value.h"
#include "kinto/stores.h"

namespace godwit::cli {
namespace {

// What every command about accounts needs before it starts; `code` tells why not.
struct Start {
  std::optional<kinto::Settings> settings;
  std::unique_ptr<store::BlockingStore> store;
  int code = kExitOk;
};

Start begin(const Context& context, const std::string& what, bool writes) {
  Start s;
  s.settings = context.loadSettings(false);
  if (!s.settings) {
    s.code = kExitConfig;
  } else if (writes && isReadonly(*s.settings)) {
    s.code = context.fail(what, "the server is readonly", kExitReadonly);
  } else if (!includes(*s.settings, "accounts")) {
    s.code = context.fail(what,
                          "the accounts plugin is not switched on (hint: kinto.includes = "
                          "kinto.plugins.accounts)",
                          kExitNoAccounts);
  } else if (s.settings->backend("storage_backend") == "memory") {
    s.code = context.fail(what, "the configured storage is memory: only its server has it");
  }
  if (s.code != kExitOk) return s;
  auto opened = kinto::openStores(*s.settings);
  if (!opened.ok()) {
    s.code = context.fail(what, reasonOf(opened.error()));
    return s;
  }
  s.store =
      std::make_unique<store::BlockingStore>(std::move(opened->backend), std::move(opened->cache));
  return s;
}

std::string secretOf(const kinto::Settings& settings) {
  return settings.getString("userid_hmac_secret");
}

int setPassword(const Context& context, bool fresh) {
  const std::string& name = context.in.arguments.front();
  std::string what = (fresh ? "create account " : "change the password of ") + name;
  if (!isAccountName(name)) {
    return context.fail(what,
                        "it starts with a letter or digit and holds only letters, digits and _-+.@",
                        kExitUsage);
  }
  Start s = begin(context, what, true);
  if (s.code != kExitOk) return s.code;
  // Before anybody has typed a password for nothing.
  auto there = ops::hasAccount(*s.store, name);
  if (!there.ok()) return context.fail(what, reasonOf(there.error()));
  if (*there == fresh) {
    return context.fail(what, fresh ? "there is such an account already (hint: godwit user passwd)"
                                    : "there is no such account (hint: godwit user add)");
  }
  auto password = readPassword(context, name);
  if (!password) return context.fail(what, "no password was given", kExitAborted);
  auto done = fresh ? ops::addAccount(*s.store, name, *password)
                    : ops::changePassword(*s.store, name, *password, secretOf(*s.settings));
  if (!done.ok()) return context.fail(what, reasonOf(done.error()));
  context.say(fresh ? "Created account:" + name : "Changed the password of account:" + name);
  return kExitOk;
}

}  // namespace

int userAdd(const Context& context) { return setPassword(context, true); }
int userPasswd(const Context& context) { return setPassword(context, false); }

int userList(const Context& context) {
  Start s = begin(context, "list the accounts", false);
  if (s.code != kExitOk) return s.code;
  auto accounts = ops::listAccounts(*s.store);
  if (!accounts.ok()) return context.fail("list the accounts", reasonOf(accounts.error()));
  if (!context.in.json) {
    for (const ops::Account& a : *accounts) context.print(a.name);
    return kExitOk;
  }
  json::Array array;
  for (const ops::Account& a : *accounts) {
    json::Value v = json::Value::object();
    v.asObject().set("name", a.name);
    v.asObject().set("last_modified", a.last_modified);
    array.push_back(std::move(v));
  }
  context.print(json::dump(json::Value(std::move(array))));
  return kExitOk;
}

int userRemove(const Context& context) {
  const std::string& name = context.in.arguments.front();
  std::string what = "remove account " + name;
  Start s = begin(context, what, true);
  if (s.code != kExitOk) return s.code;
  auto there = ops::hasAccount(*s.store, name);
  if (!there.ok()) return context.fail(what, reasonOf(there.error()));
  if (!*there) return context.fail(what, "there is no such account");
  if (context.in.dry_run) {
    context.print("would remove account:" + name + "; what it owns would stay");
    return kExitOk;
  }
  if (!confirm(context, "removing account:" + name)) return kExitUnconfirmed;
  auto done = ops::removeAccount(*s.store, name, secretOf(*s.settings));
  if (!done.ok()) return context.fail(what, reasonOf(done.error()));
  if (context.in.json) {
    json::Value v = json::Value::object();
    v.asObject().set("removed", name);
    context.print(json::dump(v));
  }
  context.say("Removed account:" + name + "; what it owns is still there");
  return kExitOk;
}

}  // namespace godwit::cli
