#include <gtest/gtest.h>

#include "cluster.h"
#include "node.h"

namespace godwit::test {
namespace {

TEST(Smoke, create_and_read) {
  Cluster& c = Cluster::shared();
  auto db = c.freshDatabase();
  store::postgresql::Options o(c.url(db));
  Node node(o);
  store::Timestamp at = 0;
  auto v = node.run(store::Mode::kWrite, creating(records("c"), "x", "{\"a\":1}", &at));
  ASSERT_TRUE(v.ok()) << v.error().message << v.error().detail;
  EXPECT_GT(at, 0);
  std::optional<store::Object> got;
  v = node.run(store::Mode::kPoint, reading(records("c"), "x", &got));
  ASSERT_TRUE(v.ok()) << v.error().message << v.error().detail;
  ASSERT_TRUE(got);
  EXPECT_EQ(got->data, "{\"a\":1}");
  EXPECT_EQ(got->last_modified, at);
  EXPECT_EQ(c.exec("select count(*) from access_control_entries", db), "1");
  EXPECT_TRUE(node.ping(true, Deadline::after(std::chrono::seconds(5))));
  EXPECT_TRUE(node.ping(false, Deadline::after(std::chrono::seconds(5))));
}

}  // namespace
}  // namespace godwit::test
