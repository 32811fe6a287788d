#include "kinto/plugins/prometheus_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace godwit::kinto {
namespace {

using testing::HasSubstr;
using testing::Not;

PrometheusRegistry::Options named(std::string prefix) {
  PrometheusRegistry::Options o;
  o.prefix = std::move(prefix);
  return o;
}

TEST(PrometheusRegistry, names_and_values_as_kintos_plugin_writes_them) {
  PrometheusRegistry r(named("kinto PROD"));
  Label status[] = {{"code.get", "200"}};
  r.count("http.home-status", 1, status);
  r.count("http.home-status", 1, status);
  r.observe("price", 111, {});
  Label path[] = {{"endpoint", "/a\"b"}};
  r.observe("size", 3.14, path);
  std::string t = r.text();
  EXPECT_THAT(t, HasSubstr("# TYPE kintoprod_http_home_status_total counter\n"));
  EXPECT_THAT(t, HasSubstr("kintoprod_http_home_status_total{code_get=\"200\"} 2.0\n"));
  EXPECT_THAT(t, HasSubstr("# TYPE kintoprod_price summary\nkintoprod_price_count "
                           "1.0\nkintoprod_price_sum 111.0\n"));
  EXPECT_THAT(t, HasSubstr("kintoprod_size_sum{endpoint=\"/a\\\"b\"} 3.14\n"));
  EXPECT_THAT(t, HasSubstr("# TYPE kintoprod_price_created gauge\n"));
}

TEST(PrometheusRegistry, histograms_are_cumulative) {
  PrometheusRegistry::Options o = named("");
  o.buckets = {0.1, 1};
  PrometheusRegistry r(o);
  for (double v : {0.05, 0.1, 0.5, 7.0}) r.time("t", v, {});
  EXPECT_THAT(
      r.text(),
      HasSubstr("t_bucket{le=\"0.1\"} 2.0\nt_bucket{le=\"1.0\"} 3.0\nt_bucket{le=\"+Inf\"} 4.0\n"
                "t_count 4.0\n"));
}

TEST(PrometheusRegistry, disabled_metrics_and_mixed_kinds_leave_no_trace) {
  PrometheusRegistry::Options o = named("kinto");
  o.disabled = {"kinto_price", "other"};
  o.created = false;
  PrometheusRegistry r(o);
  r.observe("price", 1, {});
  r.count("other", 1, {});
  r.count("c", 1, {});
  r.observe("c", 1, {});
  EXPECT_THAT(r.text(), Not(HasSubstr("price")));
  EXPECT_THAT(r.text(), Not(HasSubstr("other_total")));
  EXPECT_THAT(r.text(), Not(HasSubstr("c_sum")));
  EXPECT_THAT(r.text(), Not(HasSubstr("c_created")));
}

TEST(PrometheusRegistry, a_flood_of_series_is_bounded_and_counted) {
  PrometheusRegistry::Options o = named("");
  o.max_series = 10;
  PrometheusRegistry r(o);
  for (int i = 0; i < 100; ++i) {
    std::string id = std::to_string(i);
    Label l[] = {{"id", id}};
    r.count("c", 1, l);
  }
  EXPECT_EQ(r.overflowed(), 90u);
  EXPECT_THAT(r.text(), HasSubstr("overflow_total 90.0"));
}

}  // namespace
}  // namespace godwit::kinto
