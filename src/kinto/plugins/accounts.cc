#include "kinto/plugins/accounts.h"

#include <algorithm>
#include <set>
#include <thread>

#include "auth/account_policy.h"
#include "auth/password.h"
#include "base/worker_pool.h"
#include "json/text.h"
#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/text.h"
#include "store/session.h"

namespace godwit::kinto {
namespace {

// Unless the settings say otherwise. A longer wait would not meet any deadline.
constexpr std::int64_t kHashQueue = 128;
constexpr int kHashNice = 10;
constexpr const char* kDocs = "https://kinto.readthedocs.io/en/stable/api/1.x/accounts.html";

bool isAccountPolicy(std::string_view use) {
  return use.ends_with("AccountsPolicy") || use.ends_with("AccountsAuthenticationPolicy");
}

std::string accountOf(std::string_view id) { return "account:" + std::string(id); }

void invalid(Call& call, std::string name, std::string why) {
  setInvalid(call.answer, {Problem("body", std::move(name), std::move(why))});
}

// The password inside {"data":{"password":...}}, when there is one.
std::optional<std::string> passwordIn(std::string_view body) {
  Result<json::Value> document = json::parse(body);
  const json::Value* data = document.ok() ? document->get("data") : nullptr;
  const json::Value* value = data ? data->get("password") : nullptr;
  if (!value || !value->isString()) return std::nullopt;
  return value->asString();
}

class AccountsPlugin final : public Plugin {
 public:
  [[nodiscard]] std::string name() const override { return "accounts"; }
  [[nodiscard]] unsigned hooks() const override { return kPrepare | kBeforeWrite | kAfterWrite; }

  Result<void> setUp(Setup& setup) override {
    const Config& config = setup.config();
    secret_ = config.userid_hmac_secret;
    GODWIT_TRY(checkSettings(config));
    auto threads =
        static_cast<std::size_t>(toInt(config.text("godwit.bcrypt_threads")).value_or(0));
    auto queue =
        static_cast<std::size_t>(toInt(config.text("godwit.bcrypt_queue")).value_or(kHashQueue));
    if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency() / 2);
    pool_ = std::make_unique<WorkerPool>("bcrypt", threads, queue, kHashNice);
    setup.addCapability("accounts",
                        R"({"description":"Manage user accounts.",)"
                        R"("url":"https://kinto.readthedocs.io/en/latest/api/1.x/accounts.html",)"
                        R"("validation_enabled":false})");
    auth::AccountPolicy::Parts parts;
    parts.backend = &setup.backend();
    parts.cache = &setup.cache();
    parts.pool = pool_.get();
    parts.secret = secret_;
    parts.hides_unknown = config.policies.empty() || config.policies.back().name == policy_;
    if (auto ttl = toInt(config.text("account_cache_ttl_seconds")))
      parts.cache_ttl = std::chrono::seconds(*ttl);
    for (const Config::PolicyConfig& policy : config.policies) {
      if (policy.name == policy_) parts.realm = policy.realm;
    }
    setup.addPolicy(policy_, std::make_unique<auth::AccountPolicy>("account", std::move(parts)));
    setup.addSecurity(policy_, R"({"type":"basic"})");
    setup.addResource(makeAccount());
    return {};
  }

  void prepare(Call& call, Reactor& reactor, std::function<void()> done) override {
    // Passwords of a batch are known by their items' bodies; the items are routed later.
    auto passwords = std::make_shared<std::vector<std::string>>();
    if (call.operation && call.operation->resource->name == "account") {
      if (auto p = passwordIn(call.body)) passwords->push_back(std::move(*p));
    } else if (call.exchange.batch) {
      for (const BatchItem& item : call.exchange.batch->items) {
        if (item.path.find("/accounts") == item.path.npos) continue;
        if (auto p = passwordIn(item.body)) passwords->push_back(std::move(*p));
      }
    }
    if (passwords->empty()) return done();
    auto hashes = std::make_shared<std::vector<std::string>>();
    auto failure = std::make_shared<Error>();
    Exchange* exchange = &call.exchange;  // lives until `done` has been called
    Reactor* home = &reactor;
    auto arrive = [this, exchange, passwords, hashes, failure, done] {
      if (!failure->message.empty()) {
        invalid(exchange->call, "data.password", failure->message);
      } else {
        for (std::size_t i = 0; i < passwords->size(); ++i) {
          exchange->hashed.emplace_back((*passwords)[i], (*hashes)[i]);
        }
      }
      done();
    };
    bool taken = pool_->submit([home, passwords, hashes, failure, arrive] {
      for (const std::string& password : *passwords) {
        Result<std::string> hash = auth::hashPassword(password);
        if (!hash.ok()) {
          *failure = hash.error();
          break;
        }
        hashes->push_back(std::move(*hash));
      }
      home->post(arrive);
    });
    if (taken) return;
    call.app().storageFailed(call,
                             Error(ErrorCode::kUnavailable, "too many passwords are being hashed"));
    done();
  }

  Task<bool> beforeWrite(store::Session&, Call& call, Draft& draft) override {
    if (draft.resource->name != "account" || draft.action == Action::kDelete) co_return true;
    if (call.identity && !isAdmin(call) && draft.object.id != call.identity->user) {
      invalid(call, "data.id", "Username and account ID do not match.");
      co_return false;
    }
    Result<json::Value> parsed = json::parse(draft.object.data);
    json::Value* password = parsed.ok() ? parsed->get("password") : nullptr;
    if (!password || !password->isString())
      co_return true;  // the resource's fields have been checked
    const auto& hashed = call.exchange.hashed;
    auto known = std::find_if(hashed.begin(), hashed.end(),
                              [&](const auto& each) { return each.first == password->asString(); });
    if (known != hashed.end()) {
      *password = json::Value(known->second);
      draft.object.data = json::dump(*parsed);
      co_return true;
    }
    auto before = draft.old ? json::findPath(draft.old->data, "password") : std::nullopt;
    if (before && json::parse(*before).ok() && *json::parse(*before) == *password) co_return true;
    invalid(call, "data.password", "A password can only be set with a plain body.");
    co_return false;
  }

  // The old password is not to be let in for as long as it is remembered.
  Task<bool> afterWrite(store::Session&, Call& call, const Event& event) override {
    if (event.resource->name == "account" && event.action != Action::kCreate)
      call.exchange.stale.push_back(auth::AccountPolicy::cacheKey(secret_, event.object.id));
    co_return true;
  }

 private:
  static bool isAdmin(const Call& call) {
    const auto& admins = call.config().granted("account_write_principals");
    return std::any_of(admins.begin(), admins.end(),
                       [&](const std::string& p) { return call.is(p); });
  }

  Result<void> checkSettings(const Config& config) {
    std::size_t basic = SIZE_MAX;
    std::size_t ours = SIZE_MAX;
    for (std::size_t i = 0; i < config.policies.size(); ++i) {
      if (config.policies[i].name == "basicauth") basic = std::min(basic, i);
      if (isAccountPolicy(config.policies[i].use)) {
        ours = std::min(ours, i);
        policy_ = config.policies[i].name;
      }
    }
    if (ours == SIZE_MAX) {
      for (const auto& [key, value] : config.raw) {
        if (key.starts_with("multiauth.policy.") && key.ends_with(".use") &&
            isAccountPolicy(value)) {
          policy_ = key.substr(17, key.size() - 17 - 4);
        }
      }
    }
    if (policy_.empty()) {
      return Error(ErrorCode::kInvalid,
                   std::string("Account policy missing the 'multiauth.policy.*.use' setting. "
                               "See AccountsPolicy in docs ") +
                       kDocs);
    }
    if (basic < ours && ours != SIZE_MAX) {
      return Error(ErrorCode::kInvalid, "'basicauth' should not be mentioned before '" + policy_ +
                                            "' in 'multiauth.policies' setting.");
    }
    const auto& admins = config.granted("account_write_principals");
    std::string lost;
    for (const std::string& creator : config.granted("account_create_principals")) {
      if (creator == "system.Everyone" ||
          std::find(admins.begin(), admins.end(), creator) != admins.end())
        continue;
      lost += (lost.empty() ? "'" : ", '") + creator + "'";
    }
    if (lost.empty()) return {};
    return Error(ErrorCode::kInvalid,
                 "Configuration has some principals in account_create_principals but not in "
                 "account_write_principals. They could create their own account only. Add them to "
                 "account_write_principals. Affected users: [" +
                     lost + "]");
  }

  static Resource makeAccount() {
    Resource account;
    account.name = "account";
    account.plural_path = "/accounts";
    account.object_path = "/accounts/{id}";
    account.permissions = {"read", "write"};
    account.rules = {{"write", {{"account", {"write"}}}},
                     {"read", {{"account", {"write", "read"}}}}};
    account.ids = IdKind::kAccount;
    account.own_lists = true;
    account.admit = admit;
    FieldRule password("password", FieldRule::Kind::kString);
    password.required = true;
    account.fields.push_back(std::move(password));
    return account;
  }

  // Lists show administrators every account and others their own; whoever makes an account for
  // somebody else, or before being anybody, makes it that somebody's.
  static bool admit(Call& call) {
    Operation& op = *call.operation;
    bool admin = isAdmin(call);
    if (op.plural && call.method != http::Method::kPost) {
      if (!call.identity) {
        call.app().refuse(call);
        return false;
      }
      op.ref.parent = admin ? "*" : call.identity->user;
      return true;
    }
    if (op.plural && op.id.empty() && !op.invalid_id && op.problems.empty()) {
      invalid(call, "data.id", "data.id in body: Required");
      return false;
    }
    if (!call.identity || admin) op.owner = accountOf(op.id);
    return true;
  }

  // Set once
  std::string policy_;
  std::string secret_;

  std::unique_ptr<WorkerPool> pool_;  // from setUp() on
};

}  // namespace

std::unique_ptr<Plugin> makeAccountsPlugin() { return std::make_unique<AccountsPlugin>(); }

}  // namespace godwit::kinto
