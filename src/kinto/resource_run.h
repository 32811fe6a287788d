#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/task.h"
#include "kinto/call.h"
#include "kinto/operation.h"
#include "kinto/plugin.h"
#include "store/session.h"

namespace godwit::kinto {

// Carries out one request on a resource inside a transaction. Steps answer true to go on and false
// when call.answer is complete.
class ResourceRun {
 public:
  ResourceRun(store::Session& session, Call& call);

  Task<bool> run();

 private:
  // --- resource_run.cc: who may
  Task<bool> load();
  Task<bool> loadAbove();  // the parent object where it must exist; 404 without
  bool authorizeObject();
  Task<bool> authorizeList();
  Task<bool> findShared(const Grants& grants, const char* permission);
  [[nodiscard]] bool granted(const Grants& grants) const;
  bool refuse();
  bool reportProblems();  // of the request's form
  bool reportLate();      // of filters
  bool failed(const Error& error);
  bool notFound();
  bool noParent();  // an ancestor's id is none; a '*' must never be taken for a pattern
  bool refuseId();
  bool refuseField(std::string name, std::string description);
  bool refuseOtherId();  // in the body than in the path

  // --- resource_conditions.cc
  Task<bool> checkUnmodified(bool exists, const store::Object* object);
  bool notModified(store::Timestamp current);
  Task<bool> listTimestamp();
  Task<bool> addCacheHeaders();
  [[nodiscard]] std::optional<std::int64_t> cacheSeconds() const;

  // --- resource_read.cc
  Task<bool> getObject();
  Task<bool> getList();
  Task<bool> countList();
  Task<Result<std::vector<store::Object>>> find(const store::Query& query);
  [[nodiscard]] json::Value shownAs(const store::Object& object) const;
  void nextPage(const store::Object& last, std::int64_t offset, std::string nonce);
  void answerObject(const store::Object& object, const store::Permissions& permissions);

  // --- resource_write.cc
  Task<bool> post();
  Task<bool> put();
  Task<bool> write(Draft& draft, store::Object& written, store::Permissions& permissions);
  void replacePermissions(Draft& draft);
  [[nodiscard]] bool endsHere() const;
  [[nodiscard]] Event makeEvent(Action action, const store::Object& object) const;

  // --- resource_patch.cc
  Task<bool> patch();
  bool patchDocument(Draft& draft, json::Value& applied);
  bool patchWithOperations(Draft& draft, json::Value& document, json::Value& applied);
  void mergePermissions(Draft& draft);
  void answerPatched(const store::Object& written, const json::Value& applied,
                     const json::Value& before);

  // --- resource_delete.cc
  Task<bool> deleteObject();
  Task<bool> deleteList();

  [[nodiscard]] store::Permissions storedPermissions() const;
  [[nodiscard]] bool mayWriteDirectly(const store::Permissions& permissions) const;

  store::Session& s_;
  Call& call_;
  Operation& op_;
  const Resource& resource_;
  const Config& config_;
  bool looked_above_ = false;  // op_.above tells whether the parent exists
};

// What follows from a change: what lies below a deleted object goes, and group membership follows
// the members of groups. Within the transaction.
Task<Result<void>> cascade(store::Session& session, const Event& event);

// Everything that follows from a change that has just been stored: the cascade, the plugins' hooks,
// the event. false: call.answer holds an error.
Task<bool> followChange(store::Session& session, Call& call, Event event);

}  // namespace godwit::kinto
