// The scenarios of tests/kinto, and those that only several nodes have, on one PostgreSQL.
#include <gtest/gtest.h>

#include <cstdio>

#include "cluster.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (std::string why = godwit::test::Cluster::whyNot(); !why.empty()) {
    std::printf("SKIPPED: %s\n", why.c_str());
    return 77;
  }
  return RUN_ALL_TESTS();
}
