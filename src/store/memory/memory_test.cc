#include "store/memory/memory.h"

#include "store/conformance.h"

namespace godwit::store {
namespace {

Factory memoryFactory() {
  Factory f;
  f.name = "memory";
  f.open = [] {
    Opened o;
    o.backend = makeMemoryBackend();
    o.cache = makeMemoryCache(MemoryCacheLimits(64 << 10));
    return std::optional<Opened>(std::move(o));
  };
  return f;
}

INSTANTIATE_TEST_SUITE_P(Memory, StoreConformance, testing::Values(memoryFactory()), factoryName);
INSTANTIATE_TEST_SUITE_P(Memory, CacheConformance, testing::Values(memoryFactory()), factoryName);

TEST(MemoryCache, ValueLargerThanTheCacheIsRefused) {
  TestReactor home;
  auto cache = makeMemoryCache(MemoryCacheLimits(100));
  std::optional<ErrorCode> code;
  cache->set(home, "k", std::string(200, 'x'), std::chrono::seconds(1), [&](Result<bool> r) {
    if (!r.ok()) code = r.error().code;
  });
  EXPECT_EQ(code, ErrorCode::kLimit);
}

}  // namespace
}  // namespace godwit::store
