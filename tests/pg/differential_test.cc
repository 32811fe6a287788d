// The same requests on every backend: the same answers, but for times and made-up ids.
// GODWIT_DIFFERENTIAL_SEED, _RUNS and _STEPS choose others than the few of every day.
#include <gtest/gtest.h>

#include <cstdlib>

#include "api_peer.h"
#include "kinto/plugins/catalog.h"
#include "server_backends.h"

namespace godwit::test {
namespace {

std::uint64_t chosen(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Differential : public testing::Test {
 protected:
  static std::unique_ptr<kinto::TestApp> app(kinto::TestStores stores, bool paged) {
    kinto::Config config = kinto::TestApp::basicConfig();
    config.raw["includes"] = "default_bucket history quotas";
    config.raw["quotas.collection_max_items"] = "6";
    config.raw["experimental_collection_schema_validation"] = "true";
    config.raw["experimental_permissions_endpoint"] = "true";
    if (paged) config.paginate_by = 4;
    auto plugins = kinto::choosePlugins(config);
    return std::make_unique<kinto::TestApp>(config, std::move(stores), std::move(plugins));
  }

  // Memory first: it is the one that the others are held against.
  static std::vector<std::unique_ptr<ApiPeer>> peers(bool paged) {
    std::vector<std::unique_ptr<ApiPeer>> out;
    auto add = [&](const char* name, auto... stores) {
      std::vector<std::unique_ptr<kinto::TestApp>> nodes;
      (nodes.push_back(app(std::move(stores), paged)), ...);
      out.push_back(std::make_unique<ApiPeer>(name, std::move(nodes)));
    };
    add("memory", kinto::openMemory());
    add("sqlite", kinto::openSqliteFile());
    auto database = Database::empty();
    auto first = database->open(), second = database->open();
    first.keep = second.keep = database;
    add("postgresql", std::move(first), std::move(second));
    return out;
  }

  static void run(std::uint64_t seed, std::uint64_t steps) {
    auto all = peers(seed % 2 == 1);
    kinto::TestApp& any = all[0]->node(0);
    std::map<std::string, std::string> ids = {{"mat", any.userId("mat")},
                                              {"eve", any.userId("eve")}};
    RequestScript script(seed, ids);
    std::string before;
    std::uint64_t successes = 0;
    for (std::uint64_t i = 0; i < steps; ++i) {
      Step step = script.next(all[0]->stamps());
      std::string expected = all[0]->ask(step);
      if (expected[0] == '2') ++successes;
      for (std::size_t peer = 1; peer < all.size(); ++peer) {
        ASSERT_EQ(all[peer]->ask(step), expected)
            << all[peer]->name() << " differs from memory at step " << i << " of seed " << seed
            << ":\n  " << step.text() << "\nafter:\n"
            << before;
      }
      before += "  " + step.text() + "\n";
      if (before.size() > 4000) before.erase(0, before.find('\n', before.size() - 4000) + 1);
    }
    EXPECT_GT(successes * 5, steps) << "seed " << seed << " asks for little that is there";
  }
};

TEST_F(Differential, every_backend_answers_alike) {
  std::uint64_t first = chosen("GODWIT_DIFFERENTIAL_SEED", 1);
  std::uint64_t runs = chosen("GODWIT_DIFFERENTIAL_RUNS", 4);
  std::uint64_t steps = chosen("GODWIT_DIFFERENTIAL_STEPS", 250);
  for (std::uint64_t seed = first; seed < first + runs && !HasFatalFailure(); ++seed) {
    run(seed, steps);
  }
}

}  // namespace
}  // namespace godwit::test
