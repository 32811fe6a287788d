// PgSession: timestamps that follow known ones, and the fresh objects that get them.
#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "store/postgresql/session.h"

namespace godwit::store::postgresql {

namespace {

// A list's newest timestamp this near to our own clock is the time, not something asked for.
constexpr Timestamp kSkew = 5000;

// What waits to be sent together.
constexpr std::size_t kMaxAdded = 64;
constexpr std::size_t kMaxAddedBytes = 1 << 20;

bool same(const Ref& a, const Ref& b) { return a.resource == b.resource && a.parent == b.parent; }

Timestamp systemNowMs() {
  using std::chrono::system_clock;
  auto since = system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

}  // namespace

std::vector<std::pair<std::string_view, std::string_view>> entriesOf(
    const Permissions& permissions) {
  std::vector<std::pair<std::string_view, std::string_view>> out;
  for (const auto& [permission, holders] : permissions) {
    for (const auto& holder : holders) out.emplace_back(permission, holder);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

Ride::Newest* PgSession::newest(const Ref& ref) {
  for (auto& [list, n] : newest_) {
    if (same(list, ref)) return &n;
  }
  return nullptr;
}

void PgSession::noteNewest(const Ref& ref, Timestamp at, std::int64_t transaction) {
  Ride::Newest now;
  now.at = at;
  now.seen_ms = systemNowMs();
  now.now_like = std::abs(at - now.seen_ms) < kSkew;
  now.transaction = transaction;
  if (auto* n = newest(ref)) {
    if (at > n->at) *n = now;
  } else {
    newest_.emplace_back(ref, now);
  }
}

// The timestamp that the next change of a list gets, when that can be told.
std::optional<Timestamp> PgSession::following(const Ref& ref) {
  const auto* n = newest(ref);
  if (!n) return std::nullopt;
  Timestamp next = n->at + 1;
  if (n->now_like) next = std::max(next, n->at + (systemNowMs() - n->seen_ms));
  return next;
}

// A fresh object whose timestamp is known goes with the others that follow it.
Result<Object> PgSession::add(Change& c, Timestamp at) {
  bool clean = representable(c.object.id) && representable(c.uri);
  for (const auto& [permission, holders] : c.permissions) {
    clean = clean && representable(permission) &&
            std::all_of(holders.begin(), holders.end(),
                        [](const std::string& s) { return representable(s); });
  }
  if (!clean) return Error(ErrorCode::kInvalid, "A string holds a null character");
  auto& a = addition_;
  if (!a.ids.empty() && !same(a.ref, c.ref)) sendAddition();
  changed_ = true;
  a.ref = c.ref;
  a.ids.push_back(c.object.id);
  a.documents.push_back(c.object.data);
  a.at.push_back(at);
  for (auto& [permission, principal] : entriesOf(c.permissions)) {
    a.uris.push_back(c.uri);
    a.permissions.emplace_back(permission);
    a.principals.emplace_back(principal);
  }
  a.bytes += c.object.data.size();
  c.object.last_modified = at;
  if (!witness_) witness(c, newest(c.ref)->transaction, at * 1000);
  note(c.ref, c.object.id, at * 1000);
  noteNewest(c.ref, at, newest(c.ref)->transaction);
  if (a.ids.size() >= kMaxAdded || a.bytes >= kMaxAddedBytes) {
    sendAddition();
    pool_.flush(*lease_.operator->());
    unflushed_ = 0;
  }
  return std::move(c.object);
}

void PgSession::sendAddition() {
  if (addition_.ids.empty()) return;
  Addition a = std::exchange(addition_, Addition());
  auto views = [](const std::vector<std::string>& all) {
    return std::vector<std::string_view>(all.begin(), all.end());
  };
  Params objects;
  objects.ownText(a.ref.parent).ownText(a.ref.resource);
  objects.texts(views(a.ids)).documents(views(a.documents)).integers(a.at);
  deferred_.push_back(queue(sql::kAddObjects, std::move(objects)));
  deferred_.back()->needs_row = true;
  if (a.uris.empty()) return;
  Params entries;
  entries.texts(views(a.uris)).texts(views(a.permissions)).texts(views(a.principals));
  deferred_.push_back(queue(sql::kAddEntries, std::move(entries)));
}

}  // namespace godwit::store::postgresql
