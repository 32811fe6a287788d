#include "kinto/plugins/quota_use.h"

#include <algorithm>

#include "json/text.h"
#include "json/value.h"
#include "kinto/text.h"

namespace godwit::kinto {
namespace {

store::Ref listOf(std::string uri) { return {"quota", std::move(uri)}; }

std::string_view idOf(QuotaOf of) {
  return of == QuotaOf::kBucket ? "bucket_info" : "collection_info";
}

std::int64_t numberAt(std::string_view data, std::string_view name) {
  auto text = json::findPath(data, name);
  return text ? toInt(*text).value_or(0) : 0;
}

}  // namespace

QuotaUse& QuotaUse::operator+=(const QuotaUse& other) {
  collections += other.collections;
  records += other.records;
  bytes += other.bytes;
  return *this;
}

QuotaUse& QuotaUse::operator-=(const QuotaUse& other) {
  collections -= other.collections;
  records -= other.records;
  bytes -= other.bytes;
  return *this;
}

std::int64_t quotaSize(const store::Object& object) {
  constexpr std::string_view kFrame = R"("id":"","last_modified":)";
  // Ids hold nothing that needs escaping. The data is canonical, which is ASCII.
  std::size_t size = object.data.size() + kFrame.size() + object.id.size() +
                     std::to_string(object.last_modified).size();
  bool empty = object.data.size() <= 2;
  return static_cast<std::int64_t>(empty ? size : size + 1);
}

Task<Result<QuotaUse>> readQuotaUse(store::Session& session, QuotaOf of, std::string uri) {
  store::Ref list = listOf(std::move(uri));
  auto stored = co_await session.get(list, idOf(of));
  QuotaUse use;
  if (!stored.ok()) {
    if (stored.error().code == ErrorCode::kNotFound) co_return use;
    co_return std::move(stored).error();
  }
  use.collections = numberAt(stored->data, "collection_count");
  use.records = numberAt(stored->data, "record_count");
  use.bytes = numberAt(stored->data, "storage_size");
  co_return use;
}

Task<Result<void>> writeQuotaUse(store::Session& session, QuotaOf of, std::string uri,
                                 QuotaUse use) {
  auto text = [](std::int64_t n) { return std::to_string(std::max<std::int64_t>(n, 0)); };
  store::Ref list = listOf(std::move(uri));
  store::Object row;
  row.id = idOf(of);
  row.data = "{";
  if (of == QuotaOf::kBucket) row.data += "\"collection_count\":" + text(use.collections) + ",";
  row.data += "\"record_count\":" + text(use.records) + ",\"storage_size\":" + text(use.bytes);
  row.data += '}';
  auto written = co_await session.update(list, std::move(row));
  if (!written.ok()) co_return std::move(written).error();
  co_return Result<void>();
}

// In a session that writes, asking for a list's timestamp takes the list: PostgreSQL locks it, the
// other stores have one writer at a time anyway.
Task<Result<void>> lockQuotaUse(store::Session& session, std::string bucket_uri) {
  store::Ref list = listOf(std::move(bucket_uri));
  auto locked = co_await session.timestamp(list);
  if (!locked.ok()) co_return std::move(locked).error();
  co_return Result<void>();
}

}  // namespace godwit::kinto
