#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/backend.h"

namespace godwit::kinto {

// Open, empty stores, and what must live as long (files, a place on a server).
struct TestStores {
  std::shared_ptr<void> keep;  // destroyed last
  std::unique_ptr<store::Backend> backend;
  std::unique_ptr<store::Cache> cache;
};

// A kind of stores that scenarios run on. `settings` name an empty store of that kind to the
// commands, which open it themselves; none where another program could not see it.
struct TestBackend {
  using Settings = std::vector<std::pair<std::string, std::string>>;

  std::string name;
  std::function<TestStores()> open;
  std::function<Settings(std::shared_ptr<void>& keep)> settings;
};

// Those of this test program; every program provides its own list.
const std::vector<TestBackend>& testBackends();
// The same storage with other caches, for what is kept in a cache.
const std::vector<TestBackend>& testCaches();

TestStores openMemory();
TestStores openSqliteFile();  // in a folder of its own

// A folder below the system's temporary one; removed with what is left of `keep`.
std::string makeTestFolder(std::shared_ptr<void>& keep);

}  // namespace godwit::kinto
