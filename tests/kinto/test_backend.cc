#include "test_backend.h"

#include <cstdlib>
#include <filesystem>

#include "store/memory/memory.h"
#include "store/sqlite/sqlite.h"

namespace godwit::kinto {

TestStores openMemory() {
  TestStores out;
  out.backend = store::makeMemoryBackend();
  out.cache = store::makeMemoryCache();
  return out;
}

TestStores openSqliteFile() {
  TestStores out;
  auto stores = store::openSqlite(store::SqliteOptions(makeTestFolder(out.keep) + "/godwit.db"));
  if (!stores.ok()) std::abort();
  out.backend = std::move(stores->backend);
  out.cache = std::move(stores->cache);
  return out;
}

std::string makeTestFolder(std::shared_ptr<void>& keep) {
  std::string folder = (std::filesystem::temp_directory_path() / "godwit-api-XXXXXX").string();
  if (!::mkdtemp(folder.data())) std::abort();
  keep = std::shared_ptr<void>(nullptr, [folder](void*) { std::filesystem::remove_all(folder); });
  return folder;
}

}  // namespace godwit::kinto
