#include "ops/compare.h"

#include <algorithm>
#include <map>
#include <set>

#include "ops/uri.h"
#include "store/comparable.h"

namespace godwit::ops {
namespace {

constexpr std::size_t kMaxExamples = 20;
constexpr std::size_t kMaxPending = 100'000;
constexpr std::uint64_t kProgressRows = 512;

// Row after row of one list.
class Walk {
 public:
  Walk(Source& source, const store::Ref& ref, bool permissions)
      : source_(source), ref_(ref), permissions_(permissions) {}

  // nullptr: the end. Valid until the next call.
  Result<const Row*> next() {
    while (at_ == page_.rows.size()) {
      if (page_.last) return nullptr;
      auto more = source_.rows(ref_, after_, permissions_);
      if (!more.ok()) return std::move(more).error();
      page_ = std::move(*more);
      at_ = 0;
      if (!page_.rows.empty()) after_ = page_.rows.back().object.last_modified;
    }
    return &page_.rows[at_++];
  }

 private:
  Source& source_;
  const store::Ref& ref_;
  const bool permissions_;
  Page page_;
  std::size_t at_ = 0;
  store::Timestamp after_ = -1;
};

store::Permissions without(store::Permissions permissions, const std::string& writer) {
  for (auto& [permission, principals] : permissions) {
    if (permission == "write") std::erase(principals, writer);
  }
  std::erase_if(permissions, [](const auto& p) { return p.second.empty(); });
  return permissions;
}

class Comparer {
 public:
  Comparer(Source& original, Source& copy, const CompareRequest& request, const Progress& progress,
           std::uint64_t total, store::Timestamp newest)
      : original_(original),
        copy_(copy),
        request_(request),
        progress_(progress),
        total_(total),
        newest_(newest) {}

  Result<void> list(const List& list,
                    const std::map<std::pair<std::string, std::string>, store::Timestamp>& there) {
    ++out.lists;
    auto found = there.find({list.ref.parent, list.ref.resource});
    if (found == there.end()) {
      if (request_.live && list.timestamp > newest_) {
        ++out.later;
      } else {
        differs(describe(list.ref) + ": missing in the copy");
      }
      return {};
    }
    bool known = list.timestamp != 0 && found->second != 0;
    if (request_.timestamps && !request_.live && known && list.timestamp != found->second) {
      differs(describe(list.ref) + ": timestamp " + std::to_string(list.timestamp) + " became " +
              std::to_string(found->second));
    }
    return rows(list.ref, found->second);
  }

  Comparison out;

 private:
  void differs(std::string what) {
    ++out.different;
    if (out.examples.size() < kMaxExamples) out.examples.push_back(std::move(what));
  }

  Result<void> rows(const store::Ref& ref, store::Timestamp made) {
    Walk a(original_, ref, request_.permissions);
    Walk b(copy_, ref, request_.permissions);
    auto x = a.next();
    auto y = b.next();
    std::set<std::string> pending;  // missing in the copy unless a newer state follows
    while (x.ok() && y.ok() && (*x || *y)) {
      if (*x && ++seen_ % kProgressRows == 0 && progress_)
        progress_(seen_, std::max(seen_, total_));
      if (*x) replaced(pending, (*x)->object.id);
      if (*x && *y && (*x)->object.last_modified == (*y)->object.last_modified) {
        same(ref, **x, **y);
        x = a.next();
        y = b.next();
      } else if (*x && (!*y || (*x)->object.last_modified < (*y)->object.last_modified)) {
        bool later = request_.live && (*x)->object.last_modified > made;
        if (later) ++out.later;
        if (!later) pending.insert((*x)->object.id);
        if (pending.size() > kMaxPending) {
          return Error(ErrorCode::kLimit, describe(ref) + ": too much differs to go on");
        }
        x = a.next();
      } else {
        ++out.extra;
        y = b.next();
      }
    }
    if (!x.ok()) return std::move(x).error();
    if (!y.ok()) return std::move(y).error();
    for (const std::string& id : pending) {
      differs(describe(ref) + ", id " + id + ": missing in the copy");
    }
    return {};
  }

  void replaced(std::set<std::string>& pending, const std::string& id) {
    if (pending.empty()) return;
    out.replaced += pending.erase(id);
  }

  void same(const store::Ref& ref, const Row& x, const Row& y) {
    bool equal = x.object.data == y.object.data && x.object.id == y.object.id &&
                 x.object.deleted == y.object.deleted;
    if (!equal) equal = store::comparable(x.object) == store::comparable(y.object);
    if (!equal) return differs(describe(ref) + ", id " + x.object.id + ": the contents differ");
    if (request_.permissions && x.permissions != y.permissions &&
        (request_.writer.empty() ||
         without(x.permissions, request_.writer) != without(y.permissions, request_.writer))) {
      return differs(describe(ref) + ", id " + x.object.id + ": the permissions differ");
    }
    ++out.equal;
  }

  Source& original_;
  Source& copy_;
  const CompareRequest& request_;
  const Progress& progress_;
  const std::uint64_t total_;
  const store::Timestamp newest_;  // of all the copy's lists
  std::uint64_t seen_ = 0;
};

}  // namespace

Result<Comparison> compare(Source& original, Source& copy, const CompareRequest& request,
                           const Progress& progress) {
  auto lists = original.lists();
  if (!lists.ok()) return std::move(lists).error();
  auto others = copy.lists();
  if (!others.ok()) return std::move(others).error();
  std::map<std::pair<std::string, std::string>, store::Timestamp> there;
  store::Timestamp newest = 0;
  for (const List& l : *others) {
    there[{l.ref.parent, l.ref.resource}] = l.timestamp;
    newest = std::max(newest, l.timestamp);
  }
  std::uint64_t total = 0;
  for (const List& l : *lists) total += l.rows;
  Comparer comparer(original, copy, request, progress, total, newest);
  for (const List& l : *lists) {
    if (request.takes && !request.takes(l.ref)) continue;
    GODWIT_TRY(comparer.list(l, there));
  }
  return std::move(comparer.out);
}

}  // namespace godwit::ops
