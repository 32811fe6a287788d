#include "kinto/plugins/snapshot.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "json/text.h"
#include "json/value.h"
#include "kinto/app.h"
#include "kinto/exchange.h"
#include "kinto/render.h"
#include "kinto/text.h"
#include "store/session.h"

namespace godwit::kinto {
namespace {

struct Version {
  store::Timestamp last_modified = 0;
  std::string text;
};

// The records of `list` as of `at`. What changed since goes to `changed`, by id.
std::vector<Version> unchangedSince(const std::vector<store::Object>& records, store::Timestamp at,
                                    json::Array& changed) {
  std::vector<Version> out;
  for (const store::Object& record : records) {
    if (record.last_modified > at) {
      changed.emplace_back(record.id);
    } else if (!record.deleted) {
      Version v;
      v.last_modified = record.last_modified;
      renderObject(v.text, record);
      out.push_back(std::move(v));
    }
  }
  return out;
}

void addFromHistory(const std::vector<store::Object>& entries, std::vector<Version>& out) {
  std::set<std::string, std::less<>> seen;
  for (const store::Object& entry : entries) {  // newest first
    auto id = json::findPath(entry.data, "record_id");
    auto target = json::findPath(entry.data, "target.data");
    if (!id || !target || !seen.emplace(*id).second) continue;
    auto stamp = json::findPath(*target, "last_modified");
    auto n = stamp ? toInt(*stamp) : std::nullopt;
    if (!n) continue;
    if (json::findPath(*target, "deleted") == "true") continue;
    out.push_back(Version{*n, std::string(*target)});
  }
}

Task<bool> answerSnapshot(store::Session& session, Call& call) {
  std::string_view target = call.params.get("target");
  std::size_t at_sign = target.rfind('@');
  if (at_sign == target.npos || at_sign == 0) {
    setError(call.answer, 404, kErrnoMissingResource,
             "The resource you are looking for could not be found.");
    co_return false;
  }
  auto at = toInt(target.substr(at_sign + 1));
  if (!at || *at < 0) {
    std::string why = "Invalid timestamp '" + std::string(target.substr(at_sign + 1)) + "'";
    setInvalid(call.answer, {Problem("path", "timestamp", std::move(why))});
    co_return false;
  }
  std::string bucket = "/buckets/" + std::string(call.params.get("bucket_id"));
  std::string collection_id(target.substr(0, at_sign));
  std::string collection = bucket + "/collections/" + collection_id;

  std::vector<std::string> uris = {bucket, collection};
  auto aces = co_await session.aces(uris);
  if (!aces.ok()) {
    call.app().storageFailed(call, aces.error());
    co_return false;
  }
  bool may = std::any_of(aces->begin(), aces->end(), [&](const store::Ace& ace) {
    return (ace.permission == "read" || ace.permission == "write") && call.is(ace.principal);
  });
  if (!may) {
    call.app().refuse(call);
    co_return false;
  }
  if (call.exchange.mode == store::Mode::kPoint) {
    // A whole collection: not on a loop thread.
    call.exchange.needs_scan = true;
    co_return false;
  }
  store::Query everything;
  everything.include_deleted = true;
  store::Ref records{"record", collection};
  auto now = co_await session.list(records, everything);
  if (!now.ok()) {
    call.app().storageFailed(call, now.error());
    co_return false;
  }
  json::Array changed;
  std::vector<Version> versions = unchangedSince(*now, *at, changed);
  if (!changed.empty()) {
    store::Query query;
    query.filters.push_back(store::Filter{"resource_name", store::Op::kEq, json::Value("record")});
    query.filters.push_back(
        store::Filter{"collection_id", store::Op::kEq, json::Value(collection_id)});
    query.filters.push_back(
        store::Filter{"record_id", store::Op::kIn, json::Value(std::move(changed))});
    query.filters.push_back(
        store::Filter{"target.data.last_modified", store::Op::kMax, json::Value(*at)});
    store::Ref history{"history", bucket};
    auto entries = co_await session.list(history, query);
    if (!entries.ok()) {
      call.app().storageFailed(call, entries.error());
      co_return false;
    }
    addFromHistory(*entries, versions);
  }
  std::stable_sort(versions.begin(), versions.end(), [](const Version& a, const Version& b) {
    return a.last_modified > b.last_modified;
  });
  std::string& out = call.answer.body;
  out = "{\"data\":[";
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (i > 0) out += ',';
    out += versions[i].text;
  }
  out += "]}";
  co_return true;
}

}  // namespace

std::unique_ptr<Route> makeSnapshotRoute() {
  auto route = std::make_unique<Route>();
  route->name = "history_snapshot";
  route->pattern = "/buckets/{bucket_id}/snapshot/collections/{target}";
  route->methods = {"GET"};
  route->services[indexOf(http::Method::kGet)].work = answerSnapshot;
  return route;
}

}  // namespace godwit::kinto
