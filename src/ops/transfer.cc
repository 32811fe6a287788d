#include "ops/transfer.h"

#include <algorithm>

#include "ops/uri.h"

namespace godwit::ops {
namespace {

bool same(const store::Ref& a, const store::Ref& b) {
  return a.parent == b.parent && a.resource == b.resource;
}

// What was left half written goes first.
Result<void> arrange(std::vector<List>& lists, const store::Ref* unfinished) {
  if (!unfinished) return {};
  auto at = std::find_if(lists.begin(), lists.end(),
                         [&](const List& l) { return same(l.ref, *unfinished); });
  if (at == lists.end()) {
    return Error(ErrorCode::kConflict, describe(*unfinished) +
                                           " is gone from the source since the interruption "
                                           "(hint: remove the .part file and start anew)");
  }
  std::rotate(lists.begin(), at, at + 1);
  return {};
}

}  // namespace

Result<TransferReport> transfer(Source& from, Sink& to, bool permissions,
                                const Progress& progress) {
  auto lists = from.lists();
  if (!lists.ok()) return std::move(lists).error();
  GODWIT_TRY(arrange(*lists, to.unfinished()));
  TransferReport report;
  std::uint64_t total = 0;
  std::uint64_t before = to.present();
  for (const List& list : *lists) total += list.rows;
  for (List& list : *lists) {
    if (!to.takes(list.ref)) {
      report.left_out.push_back(describe(list.ref));
      total -= list.rows;
      continue;
    }
    ++report.lists;
    store::Timestamp after = -1;
    auto wanted = to.begin(list, after);
    if (!wanted.ok()) return std::move(wanted).error();
    while (*wanted) {
      auto page = from.rows(list.ref, after, permissions);
      if (!page.ok()) return std::move(page).error();
      if (!page->rows.empty()) {
        GODWIT_TRY(to.put(list.ref, page->rows));
        after = page->rows.back().object.last_modified;
      }
      for (const Row& row : page->rows) ++(row.object.deleted ? report.tombstones : report.objects);
      std::uint64_t done = before + report.tombstones + report.objects;
      if (progress) progress(done, std::max(done, total));
      if (!page->last) continue;
      list.timestamp = std::max(list.timestamp, after);
      GODWIT_TRY(to.end(list));
      break;
    }
  }
  GODWIT_TRY(to.finish());
  report.written = to.written();
  report.present = to.present();
  report.notes = from.notes();
  report.notes.insert(report.notes.end(), to.notes().begin(), to.notes().end());
  return report;
}

}  // namespace godwit::ops
