#include "store/copy.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/crc32c.h"
#include "store/blocking_store.h"
#include "store/bring_over.h"
#include "store/comparable.h"
#include "store/copy_source.h"

namespace godwit::store {

namespace {

constexpr std::size_t kBatch = 200;  // rows per unit of work

std::uint32_t hashOf(const Object& o, std::uint32_t so_far) {
  std::string text = comparable(o);
  return crc32c(text.data(), text.size(), so_far);
}

// --- Writing

Task<Verdict> putAll(Session& s, const Ref* ref, const std::vector<Object>* batch, Error* why) {
  for (const auto& object : *batch) {
    auto done = co_await bringOver(s, *ref, object);
    if (!done.ok()) {
      *why = done.error();
      why->message = ref->parent + " " + ref->resource + " " + object.id + ": " + why->message;
      co_return Verdict::kRollback;
    }
  }
  co_return Verdict::kCommit;
}

Task<Verdict> putAces(Session& s, const std::vector<Ace>* batch) {
  for (const auto& ace : *batch) {
    auto done = co_await s.addAce(ace);
    if (!done.ok()) co_return Verdict::kRollback;
  }
  co_return Verdict::kCommit;
}

Task<Verdict> putMemberships(Session& s, const std::vector<CopySource::Membership>* batch) {
  for (const auto& m : *batch) {
    auto done = co_await s.addUserPrincipal(m.user, m.principal);
    if (!done.ok()) co_return Verdict::kRollback;
  }
  co_return Verdict::kCommit;
}

// --- Comparing

struct Summary {
  std::uint64_t rows = 0;
  std::uint32_t hash = 0;
  Timestamp timestamp = 0;
};
using Summaries = std::map<std::pair<std::string, std::string>, Summary>;

Result<Summary> summarise(CopySource& source, const CopySource::List& list, CopyReport* report) {
  Summary out;
  out.timestamp = list.timestamp;
  Timestamp after = -1;
  while (true) {
    auto batch = source.objects(list.ref, after, kBatch);
    if (!batch.ok()) return std::move(batch).error();
    for (const auto& o : *batch) {
      out.hash = hashOf(o, out.hash);
      ++out.rows;
      if (report) ++(o.deleted ? report->tombstones : report->objects);
    }
    if (batch->size() < kBatch) return out;
    after = batch->back().last_modified;
  }
}

Result<Summaries> summariseAll(CopySource& source, CopyReport* report) {
  auto lists = source.lists();
  if (!lists.ok()) return std::move(lists).error();
  Summaries out;
  for (const auto& list : *lists) {
    auto s = summarise(source, list, report);
    if (!s.ok()) return std::move(s).error();
    out[{list.ref.parent, list.ref.resource}] = *s;
  }
  return out;
}

Result<std::pair<std::uint64_t, std::uint32_t>> summariseEntries(CopySource& source) {
  std::uint64_t n = 0;
  std::uint32_t hash = 0;
  auto add = [&](const std::string& text) {
    hash = crc32c(text.data(), text.size(), hash);
    ++n;
  };
  Ace after;
  while (true) {
    auto batch = source.aces(after, kBatch);
    if (!batch.ok()) return std::move(batch).error();
    for (const auto& a : *batch) add(a.uri + "\n" + a.permission + "\n" + a.principal + "\n");
    if (batch->size() < kBatch) break;
    after = batch->back();
  }
  CopySource::Membership last;
  while (true) {
    auto batch = source.memberships(last, kBatch);
    if (!batch.ok()) return std::move(batch).error();
    for (const auto& m : *batch) add(m.user + "\n" + m.principal + "\n");
    if (batch->size() < kBatch) break;
    last = batch->back();
  }
  return std::make_pair(n, hash);
}

Result<void> compare(CopySource& from, CopySource& to, CopyReport& report) {
  auto a = summariseAll(from, &report);
  if (!a.ok()) return std::move(a).error();
  auto b = summariseAll(to, nullptr);
  if (!b.ok()) return std::move(b).error();
  report.lists = a->size();
  auto name = [](const auto& key) { return key.second + " of '" + key.first + "'"; };
  for (const auto& [key, want] : *a) {
    auto it = b->find(key);
    if (it == b->end()) {
      report.differences.push_back(name(key) + ": missing in the target");
      continue;
    }
    const Summary& have = it->second;
    if (have.rows != want.rows) {
      report.differences.push_back(name(key) + ": " + std::to_string(want.rows) + " rows became " +
                                   std::to_string(have.rows));
    } else if (have.hash != want.hash) {
      report.differences.push_back(name(key) + ": the contents differ");
    }
    if (have.timestamp != want.timestamp) {
      report.differences.push_back(name(key) + ": timestamp " + std::to_string(want.timestamp) +
                                   " became " + std::to_string(have.timestamp));
    }
  }
  for (const auto& [key, have] : *b) {
    if (!a->contains(key)) report.differences.push_back(name(key) + ": only in the target");
  }
  auto x = summariseEntries(from);
  if (!x.ok()) return std::move(x).error();
  auto y = summariseEntries(to);
  if (!y.ok()) return std::move(y).error();
  report.entries = x->first;
  if (*x != *y) report.differences.emplace_back("the access control entries or memberships differ");
  return {};
}

}  // namespace

Result<CopyReport> copyStore(const CopyRequest& request, Deadline deadline,
                             const std::function<void(const CopyProgress&)>& progress) {
  auto from = openCopySource(request.from, deadline);
  if (!from.ok()) return std::move(from).error();
  auto target = BlockingStore::open(request.to);
  if (!target.ok()) return std::move(target).error();

  auto lists = (*from)->lists();
  if (!lists.ok()) return std::move(lists).error();
  CopyReport report;
  CopyProgress at;
  for (const auto& l : *lists) at.total += l.rows;

  // What an earlier run has committed is a prefix of every list, since rows go over oldest first.
  std::map<std::pair<std::string, std::string>, Timestamp> there;
  {
    auto before = openCopySource(request.to, deadline);
    if (!before.ok()) return std::move(before).error();
    auto found = (*before)->lists();
    if (!found.ok()) return std::move(found).error();
    for (const auto& l : *found) there[{l.ref.parent, l.ref.resource}] = l.timestamp;
  }
  for (const auto& list : *lists) {
    auto known = there.find({list.ref.parent, list.ref.resource});
    Timestamp start = known == there.end() ? -1 : known->second;
    Timestamp after = -1;
    Timestamp newest = 0;
    while (true) {
      if (deadline.expired()) return Error(ErrorCode::kTimeout, "the copy took too long");
      auto batch = (*from)->objects(list.ref, after, kBatch);
      if (!batch.ok()) return std::move(batch).error();
      if (batch->empty()) break;
      std::size_t size = batch->size();
      after = newest = batch->back().last_modified;
      auto brought = std::erase_if(*batch, [&](const auto& o) { return o.last_modified <= start; });
      report.skipped += brought;
      if (!batch->empty()) {
        Error why;
        auto done =
            (*target)->write([&](Session& s) { return putAll(s, &list.ref, &*batch, &why); });
        if (!done.ok()) return why.message.empty() ? std::move(done).error() : why;
      }
      at.done += size;
      if (progress) progress(at);
      if (size < kBatch) break;
    }
    if (list.timestamp > std::max(newest, start)) {
      GODWIT_TRY((*target)->write(
          [&](Session& s) { return raiseTimestamp(s, &list.ref, list.timestamp); }));
    }
  }
  Ace last_ace;
  while (true) {
    auto batch = (*from)->aces(last_ace, kBatch);
    if (!batch.ok()) return std::move(batch).error();
    if (batch->empty()) break;
    GODWIT_TRY((*target)->write([&](Session& s) { return putAces(s, &*batch); }));
    last_ace = batch->back();
  }
  CopySource::Membership last;
  while (true) {
    auto batch = (*from)->memberships(last, kBatch);
    if (!batch.ok()) return std::move(batch).error();
    if (batch->empty()) break;
    GODWIT_TRY((*target)->write([&](Session& s) { return putMemberships(s, &*batch); }));
    last = batch->back();
  }

  auto now = openCopySource(request.to, deadline);
  if (!now.ok()) return std::move(now).error();
  GODWIT_TRY(compare(**from, **now, report));
  return report;
}

}  // namespace godwit::store
