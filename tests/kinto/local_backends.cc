// The backends that need no server: what the fast program runs on.
#include "test_backend.h"

namespace godwit::kinto {
namespace {

TestBackend::Settings sqliteSettings(std::shared_ptr<void>& keep) {
  return {{"godwit.data_dir", makeTestFolder(keep) + "/data"}};
}

}  // namespace

const std::vector<TestBackend>& testBackends() {
  static const std::vector<TestBackend> kAll = {{"memory", openMemory, nullptr},
                                                {"sqlite", openSqliteFile, sqliteSettings}};
  return kAll;
}

const std::vector<TestBackend>& testCaches() {
  static const std::vector<TestBackend> kNone;
  return kNone;
}

}  // namespace godwit::kinto
