#include "ops/store_source.h"

#include <algorithm>

#include "ops/row_text.h"
#include "ops/uri.h"
#include "store/postgresql/options.h"

namespace godwit::ops {
namespace {

constexpr std::size_t kPageRows = 500;
// Nothing waits longer than a statement; the server ends what is left over.
constexpr std::chrono::hours kLongest{24};

}  // namespace

std::string publicStoreUrl(const std::string& url) {
  return store::isSqliteUrl(url) ? "sqlite:" + store::sqlitePath(url)
                                 : store::postgresql::publicUrl(url);
}

Result<std::unique_ptr<StoreSource>> StoreSource::open(const std::string& url) {
  auto source = std::make_unique<StoreSource>();
  auto opened = store::openCopySource(url, Deadline::after(kLongest));
  if (!opened.ok()) return std::move(opened).error();
  source->store_ = std::move(*opened);
  source->name_ = publicStoreUrl(url);
  return source;
}

Result<std::vector<List>> StoreSource::lists() {
  auto found = store_->lists();
  if (!found.ok()) return std::move(found).error();
  std::vector<List> out;
  for (auto& l : *found) {
    List& list = out.emplace_back();
    list.ref = std::move(l.ref);
    // Negative: a list that is gone (docs/formats/sqlite.md).
    list.timestamp = std::max<store::Timestamp>(l.timestamp, 0);
    list.rows = l.rows;
    if (l.timestamp < 0 && l.rows == 0) out.pop_back();
  }
  return out;
}

Result<Page> StoreSource::rows(const store::Ref& ref, store::Timestamp after, bool permissions) {
  auto objects = store_->objects(ref, after, kPageRows);
  if (!objects.ok()) return std::move(objects).error();
  Page page;
  page.last = objects->size() < kPageRows;
  std::vector<std::string> uris;
  for (auto& o : *objects) {
    std::string uri = o.deleted ? "" : objectUri(ref, o.id);
    if (permissions && !uri.empty()) uris.push_back(std::move(uri));
    page.rows.emplace_back().object = std::move(o);
  }
  if (uris.empty()) return page;
  auto aces = store_->acesOf(uris);
  if (!aces.ok()) return std::move(aces).error();
  std::sort(aces->begin(), aces->end(), [](const auto& a, const auto& b) {
    return std::tie(a.uri, a.permission, a.principal) < std::tie(b.uri, b.permission, b.principal);
  });
  for (Row& row : page.rows) {
    std::string uri = row.object.deleted ? "" : objectUri(ref, row.object.id);
    auto before = [](const store::Ace& a, const std::string& u) { return a.uri < u; };
    auto at = std::lower_bound(aces->begin(), aces->end(), uri, before);
    for (; at != aces->end() && at->uri == uri; ++at) {
      if (row.permissions.empty() || row.permissions.back().first != at->permission) {
        row.permissions.emplace_back(at->permission, std::vector<std::string>());
      }
      row.permissions.back().second.push_back(at->principal);
    }
  }
  return page;
}

}  // namespace godwit::ops
