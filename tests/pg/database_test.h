#pragma once

#include <gtest/gtest.h>

#include <string>

#include "cluster.h"
#include "store/postgresql/options.h"

namespace godwit::test {

// Each test has a database of its own, with Kinto's tables, in the program's one cluster.
class DatabaseTest : public testing::Test {
 protected:
  // Whoever overrides this returns when IsSkipped() after it.
  void SetUp() override {
    if (!Cluster::whyNot().empty()) GTEST_SKIP() << Cluster::whyNot();
    db_ = cluster().freshDatabase();
  }
  static Cluster& cluster() { return Cluster::shared(); }
  store::postgresql::Options direct() { return store::postgresql::Options(cluster().url(db_)); }
  std::string sql(const std::string& text) { return cluster().exec(text, db_); }

  std::string db_;
};

}  // namespace godwit::test
