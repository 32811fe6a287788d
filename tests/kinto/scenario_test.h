#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "test_app.h"

namespace godwit::kinto {

// Runs each scenario on every backend. `t` is a fresh API; mat made bucket "beers" with collection
// "barley" and record "one", and gave eve read and bob write on them.
class Api : public ::testing::TestWithParam<std::string> {
 protected:
  Api() : t(TestApp::basicConfig(), GetParam()) {}

  // A fresh API with other settings.
  static std::unique_ptr<TestApp> withConfig(const Config& config) {
    return std::make_unique<TestApp>(config, GetParam());
  }
  void seed() { seed(t); }
  static void seed(TestApp& app);

  TestApp t;
  const std::string records = "/buckets/beers/collections/barley/records";
  const std::string one = "/buckets/beers/collections/barley/records/one";
};

inline void Api::seed(TestApp& app) {
  std::string permissions = "{\"permissions\":{\"read\":[\"" + app.userId("eve") +
                            "\"],\"write\":[\"" + app.userId("bob") + "\"]}}";
  ASSERT_EQ(app.put("/buckets/beers", "mat", permissions).status, 201);
  ASSERT_EQ(app.put("/buckets/beers/collections/barley", "mat").status, 201);
  ASSERT_EQ(app.put("/buckets/beers/collections/barley/records/one", "mat",
                    R"({"data":{"name":"Hulled","n":1}})")
                .status,
            201);
}

}  // namespace godwit::kinto

#define GODWIT_API_SUITE(name)                                                                \
  class name : public ::godwit::kinto::Api {};                                                \
  INSTANTIATE_TEST_SUITE_P(, name, ::testing::ValuesIn(::godwit::kinto::TestApp::backends()), \
                           [](const auto& backend) { return backend.param; })
