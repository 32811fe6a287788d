#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "test_app.h"

namespace godwit::kinto {

// mat makes bucket "beers" with collection "barley" and record "one", and gives eve read and bob
// write on them.
inline void seedBeers(TestApp& app) {
  std::string permissions = "{\"permissions\":{\"read\":[\"" + app.userId("eve") +
                            "\"],\"write\":[\"" + app.userId("bob") + "\"]}}";
  ASSERT_EQ(app.put("/buckets/beers", "mat", permissions).status, 201);
  ASSERT_EQ(app.put("/buckets/beers/collections/barley", "mat").status, 201);
  ASSERT_EQ(app.put("/buckets/beers/collections/barley/records/one", "mat",
                    R"({"data":{"name":"Hulled","n":1}})")
                .status,
            201);
}

// Runs each scenario on every backend. `t` is a fresh API.
class Api : public ::testing::TestWithParam<std::string> {
 protected:
  Api() : t(TestApp::basicConfig(), GetParam()) {}

  // A fresh API with other settings.
  static std::unique_ptr<TestApp> withConfig(const Config& config) {
    return std::make_unique<TestApp>(config, GetParam());
  }
  void seed() { seedBeers(t); }

  TestApp t;
  const std::string records = "/buckets/beers/collections/barley/records";
  const std::string one = "/buckets/beers/collections/barley/records/one";
};

}  // namespace godwit::kinto

// Runs the tests of a suite on each of `names`.
#define GODWIT_ON_EACH(suite, names)                            \
  INSTANTIATE_TEST_SUITE_P(, suite, ::testing::ValuesIn(names), \
                           [](const auto& backend) { return backend.param; })

#define GODWIT_API_SUITE(name)                 \
  class name : public ::godwit::kinto::Api {}; \
  GODWIT_ON_EACH(name, ::godwit::kinto::TestApp::backends())
