#include "store/session.h"

namespace godwit::store {

Task<Result<Object>> Session::put(Put put) {
  Result<Object> written = Error(ErrorCode::kInternal, "internal error", "not written");
  if (put.create) {
    auto created = co_await create(put.ref, std::move(put.object));
    written = std::move(created);
  } else {
    auto updated = co_await update(put.ref, std::move(put.object));
    written = std::move(updated);
  }
  if (!written.ok() || put.permissions.empty()) co_return written;
  auto replaced = co_await replaceAces(put.uri, put.permissions);
  if (!replaced.ok()) co_return std::move(replaced).error();
  co_return written;
}

}  // namespace godwit::store
