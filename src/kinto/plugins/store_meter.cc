#include "kinto/plugins/store_meter.h"

#include "store/session.h"

namespace godwit::kinto {
namespace {

using namespace store;
using Clock = std::chrono::steady_clock;
using Method = StoreMeter::Method;

// Records the time from here to the end of the scope.
class Timer {
 public:
  Timer(const StoreMeter& meter, const Method& method) : meter_(meter), method_(method) {}
  ~Timer() { meter_.record(method_, Clock::now() - began_); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

 private:
  const StoreMeter& meter_;
  const Method& method_;
  const Clock::time_point began_ = Clock::now();
};

// By Kinto's names: one of its backends for objects, one for permissions.
constexpr Method kResourceTimestamp = {"storage", "resource_timestamp", "collection_timestamp"};
constexpr Method kCreate = {"storage", "create", "create"};
constexpr Method kGet = {"storage", "get", "get"};
constexpr Method kUpdate = {"storage", "update", "update"};
constexpr Method kDelete = {"storage", "delete", "delete"};
constexpr Method kListAll = {"storage", "list_all", "get_all"};
constexpr Method kCountAll = {"storage", "count_all", "count_all"};
constexpr Method kDeleteAll = {"storage", "delete_all", "delete_all"};
constexpr Method kPurgeDeleted = {"storage", "purge_deleted", "purge_deleted"};
constexpr Method kTrimObjects = {"storage", "trim_objects", "trim_objects"};
constexpr Method kPermissionGetUserPrincipals = {"permission", "get_user_principals",
                                                 "user_principals"};
constexpr Method kPermissionAddUserPrincipal = {"permission", "add_user_principal",
                                                "add_user_principal"};
constexpr Method kPermissionRemoveUserPrincipal = {"permission", "remove_user_principal",
                                                   "remove_user_principal"};
constexpr Method kPermissionRemovePrincipal = {"permission", "remove_principal",
                                               "remove_principal"};
constexpr Method kPermissionGetObjectsPermissions = {"permission", "get_objects_permissions",
                                                     "object_permission_principals"};
constexpr Method kPermissionReplaceObjectPermissions = {"permission", "replace_object_permissions",
                                                        "replace_object_permissions"};
constexpr Method kPermissionAddPrincipalToAce = {"permission", "add_principal_to_ace",
                                                 "add_principal_to_ace"};
constexpr Method kPermissionRemovePrincipalFromAce = {"permission", "remove_principal_from_ace",
                                                      "remove_principal_from_ace"};
constexpr Method kPermissionDeleteObjectPermissions = {"permission", "delete_object_permissions",
                                                       "delete_object_permissions"};
constexpr Method kPermissionGetAccessibleObjects = {"permission", "get_accessible_objects",
                                                    "get_accessible_objects"};
constexpr Method kFlush = {"storage", "flush", "flush"};
constexpr Method kCheckPermission = {"permission", "check_permission", "check_permission"};
constexpr Method kStoragePing = {"storage", "ping", "ping"};
constexpr Method kCacheGet = {"cache", "get", "get"};
constexpr Method kCacheSet = {"cache", "set", "set"};
constexpr Method kCacheExpire = {"cache", "expire", "expire"};
constexpr Method kCacheDelete = {"cache", "delete", "delete"};
constexpr Method kCacheFlush = {"cache", "flush", "flush"};
constexpr Method kCachePing = {"cache", "ping", "ping"};

class MeteredSession final : public Session {
 public:
  MeteredSession(Session& inner, const StoreMeter& meter) : inner_(inner), meter_(meter) {}

  [[nodiscard]] bool writable() const override { return inner_.writable(); }
  // One round trip that does what several calls of Kinto's did: it counts as each of them.
  Task<Result<Loaded>> load(const LoadSpec& spec) override {
    auto began = Clock::now();
    auto result = co_await inner_.load(spec);
    auto took = Clock::now() - began;
    if (spec.ref) meter_.record(kGet, took);
    if (!spec.user.empty()) meter_.record(kPermissionGetUserPrincipals, took);
    if (!spec.uris.empty()) {
      meter_.record(kCheckPermission, took);
      meter_.recordPermits(took);
    }
    co_return result;
  }
  Task<Result<Timestamp>> timestamp(const Ref& ref) override {
    Timer timer(meter_, kResourceTimestamp);
    auto result = co_await inner_.timestamp(ref);
    co_return result;
  }
  Task<Result<Object>> create(const Ref& ref, Object object) override {
    Timer timer(meter_, kCreate);
    auto result = co_await inner_.create(ref, std::move(object));
    co_return result;
  }
  Task<Result<Object>> get(const Ref& ref, std::string_view id) override {
    Timer timer(meter_, kGet);
    auto result = co_await inner_.get(ref, id);
    co_return result;
  }
  Task<Result<Object>> update(const Ref& ref, Object object) override {
    Timer timer(meter_, kUpdate);
    auto result = co_await inner_.update(ref, std::move(object));
    co_return result;
  }
  // One round trip again, for two of Kinto's calls.
  Task<Result<Object>> put(Put put) override {
    const Method& method = put.create ? kCreate : kUpdate;
    const bool permissions = !put.permissions.empty();
    auto began = Clock::now();
    auto result = co_await inner_.put(std::move(put));
    auto took = Clock::now() - began;
    meter_.record(method, took);
    if (permissions) meter_.record(kPermissionReplaceObjectPermissions, took);
    co_return result;
  }
  Task<Result<Object>> remove(const Ref& ref, std::string_view id, Timestamp requested) override {
    Timer timer(meter_, kDelete);
    auto result = co_await inner_.remove(ref, id, requested);
    co_return result;
  }
  Task<Result<std::vector<Object>>> list(const Ref& ref, const Query& query) override {
    Timer timer(meter_, kListAll);
    auto result = co_await inner_.list(ref, query);
    co_return result;
  }
  Task<Result<std::uint64_t>> count(const Ref& ref, const Query& query) override {
    Timer timer(meter_, kCountAll);
    auto result = co_await inner_.count(ref, query);
    co_return result;
  }
  Task<Result<std::vector<DeletedObject>>> removeAll(const Ref& ref, const Query& query,
                                                     bool with_tombstones) override {
    Timer timer(meter_, kDeleteAll);
    auto result = co_await inner_.removeAll(ref, query, with_tombstones);
    co_return result;
  }
  Task<Result<std::uint64_t>> purgeTombstones(const Ref& ref,
                                              std::optional<Timestamp> before) override {
    Timer timer(meter_, kPurgeDeleted);
    auto result = co_await inner_.purgeTombstones(ref, before);
    co_return result;
  }
  Task<Result<std::uint64_t>> trimTombstones(std::string_view resource,
                                             std::uint64_t keep) override {
    Timer timer(meter_, kPurgeDeleted);
    auto result = co_await inner_.trimTombstones(resource, keep);
    co_return result;
  }
  Task<Result<std::uint64_t>> trimObjects(const Ref& ref, const Query& query,
                                          std::uint64_t keep) override {
    Timer timer(meter_, kTrimObjects);
    auto result = co_await inner_.trimObjects(ref, query, keep);
    co_return result;
  }
  Task<Result<void>> removeTimestamps(std::string_view parent_pattern) override {
    Timer timer(meter_, kDeleteAll);
    auto result = co_await inner_.removeTimestamps(parent_pattern);
    co_return result;
  }
  Task<Result<Counts>> counts() override {
    Timer timer(meter_, kCountAll);
    auto result = co_await inner_.counts();
    co_return result;
  }
  Task<Result<Size>> size(const Ref& ref) override {
    Timer timer(meter_, kCountAll);
    auto result = co_await inner_.size(ref);
    co_return result;
  }
  Task<Result<std::vector<std::string>>> userPrincipals(std::string_view user) override {
    Timer timer(meter_, kPermissionGetUserPrincipals);
    auto result = co_await inner_.userPrincipals(user);
    co_return result;
  }
  Task<Result<void>> addUserPrincipal(std::string_view user, std::string_view principal) override {
    Timer timer(meter_, kPermissionAddUserPrincipal);
    auto result = co_await inner_.addUserPrincipal(user, principal);
    co_return result;
  }
  Task<Result<void>> removeUserPrincipal(std::string_view user,
                                         std::string_view principal) override {
    Timer timer(meter_, kPermissionRemoveUserPrincipal);
    auto result = co_await inner_.removeUserPrincipal(user, principal);
    co_return result;
  }
  Task<Result<void>> removePrincipal(std::string_view principal_pattern) override {
    Timer timer(meter_, kPermissionRemovePrincipal);
    auto result = co_await inner_.removePrincipal(principal_pattern);
    co_return result;
  }
  Task<Result<std::vector<Ace>>> aces(const std::vector<std::string>& uris) override {
    Timer timer(meter_, kPermissionGetObjectsPermissions);
    auto result = co_await inner_.aces(uris);
    co_return result;
  }
  Task<Result<void>> replaceAces(std::string_view uri, const Permissions& permissions) override {
    Timer timer(meter_, kPermissionReplaceObjectPermissions);
    auto result = co_await inner_.replaceAces(uri, permissions);
    co_return result;
  }
  Task<Result<void>> addAce(const Ace& ace) override {
    Timer timer(meter_, kPermissionAddPrincipalToAce);
    auto result = co_await inner_.addAce(ace);
    co_return result;
  }
  Task<Result<void>> removeAce(const Ace& ace) override {
    Timer timer(meter_, kPermissionRemovePrincipalFromAce);
    auto result = co_await inner_.removeAce(ace);
    co_return result;
  }
  Task<Result<void>> removeAces(const std::vector<std::string>& uri_patterns) override {
    Timer timer(meter_, kPermissionDeleteObjectPermissions);
    auto result = co_await inner_.removeAces(uri_patterns);
    co_return result;
  }
  Task<Result<std::vector<Ace>>> accessible(const std::vector<std::string>& principals,
                                            const std::vector<Bound>& bound,
                                            bool with_children) override {
    Timer timer(meter_, kPermissionGetAccessibleObjects);
    auto result = co_await inner_.accessible(principals, bound, with_children);
    co_return result;
  }
  Task<Result<void>> flush() override {
    Timer timer(meter_, kFlush);
    auto result = co_await inner_.flush();
    co_return result;
  }

 private:
  Session& inner_;
  const StoreMeter& meter_;
};

Task<Verdict> runMetered(Session& session, const Work& work, const StoreMeter& meter) {
  MeteredSession metered(session, meter);
  auto verdict = co_await work(metered);
  co_return verdict;
}

double secondsOf(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

void StoreMeter::record(const Method& method, Clock::duration took) const {
  for (const Sink& sink : sinks_) {
    std::string key(sink.old_names ? method.backend : "backend");
    key.append(".").append(sink.old_names ? method.old_name : method.backend);
    if (sink.old_names) {
      sink.service->time(key, secondsOf(took), {});
      continue;
    }
    Label label[] = {{"method", method.name}};
    sink.service->time(key + ".seconds", secondsOf(took), label);
  }
}

void StoreMeter::recordPermits(Clock::duration took) const {
  for (const Sink& sink : sinks_) {
    if (sink.old_names) sink.service->time("authentication.permits", secondsOf(took), {});
  }
}

Work MeteredBackend::metered(Work work) {
  return [this, work = std::move(work)](Session& session) {
    return runMetered(session, work, meter_);
  };
}

void MeteredBackend::run(Mode mode, Reactor& home, Deadline deadline, Work work, Done done) {
  inner_.run(mode, home, deadline, metered(std::move(work)), std::move(done));
}

void MeteredBackend::runNearby(Mode mode, Reactor& home, Deadline deadline, Work work, Done done) {
  inner_.runNearby(mode, home, deadline, metered(std::move(work)), std::move(done));
}

void MeteredBackend::ping(Reactor& home, Deadline deadline, bool write,
                          std::function<void(bool)> done) {
  auto timed = [this, began = Clock::now(), done = std::move(done)](bool ok) {
    meter_.record(kStoragePing, Clock::now() - began);
    done(ok);
  };
  inner_.ping(home, deadline, write, std::move(timed));
}

template <class R>
std::function<void(R)> MeteredCache::timed(const Method& method, std::function<void(R)> done) {
  return [this, &method, began = Clock::now(), done = std::move(done)](R result) {
    meter_.record(method, Clock::now() - began);
    done(std::move(result));
  };
}

void MeteredCache::get(Reactor& home, std::string_view key, Got done) {
  inner_.get(home, key, timed(kCacheGet, std::move(done)));
}
void MeteredCache::set(Reactor& home, std::string_view key, std::string value,
                       std::chrono::milliseconds ttl, Did done) {
  inner_.set(home, key, std::move(value), ttl, timed(kCacheSet, std::move(done)));
}
void MeteredCache::expire(Reactor& home, std::string_view key, std::chrono::milliseconds ttl,
                          Did done) {
  inner_.expire(home, key, ttl, timed(kCacheExpire, std::move(done)));
}
void MeteredCache::take(Reactor& home, std::string_view key, Got done) {
  inner_.take(home, key, timed(kCacheDelete, std::move(done)));
}
void MeteredCache::flush(Reactor& home, Did done) {
  inner_.flush(home, timed(kCacheFlush, std::move(done)));
}
void MeteredCache::ping(Reactor& home, Deadline deadline, std::function<void(bool)> done) {
  inner_.ping(home, deadline, timed(kCachePing, std::move(done)));
}

}  // namespace godwit::kinto
