#include "agent/line_protocol.h"

#include <gtest/gtest.h>

#include <cmath>

namespace godwit::agent {
namespace {

using metrics::Kind;
using metrics::Sample;

Sample counter(std::string name, double v, std::int64_t ts = 5) {
  Sample s;
  s.name = std::move(name);
  s.value = v;
  s.ts = ts;
  return s;
}
std::string written(const metrics::Dims& dims, const Sample& s, LineResult want = LineResult::kOk) {
  LineWriter w("");
  std::string out;
  EXPECT_EQ(w.append(out, dims, s), want);
  return out;
}

TEST(LineWriter, maps_a_timer_as_documented) {
  Sample s = counter("Request Time", 12.5, 1600000000000000123);
  s.kind = Kind::Timer;
  s.unit = metrics::Milliseconds;
  s.meta = {{"n", std::int64_t{5}}, {"s", std::string("a\"b\\c")}, {"value", 1.0}, {"nul", {}}};
  EXPECT_EQ(written({{"b", "2"}, {"a", "1,=x y"}, {"empty", ""}}, s),
            "Request\\ Time,a=1\\,\\=x\\ y,b=2 n=5i,s=\"a\\\"b\\\\c\",value=12.5,unit="
            "\"milliseconds\" 1600000000000000123\n");
}

TEST(LineWriter, escapes_what_influxdb_refuses) {
  EXPECT_EQ(written({{"time", "x"}, {"t", "ends\\"}, {"n", "a\nb"}}, counter("m", 1)),
            "m,n=a\\ b,t=ends\\_,time_=x value=1 5\n");
  EXPECT_EQ(written({{"a", "1"}, {"a", "2"}}, counter("m", 1)), "m,a=2 value=1 5\n");
  written({}, counter("m", NAN), LineResult::kNotFinite);
  written({}, counter("m", INFINITY), LineResult::kNotFinite);
  written({}, counter("", 1), LineResult::kEmptyName);
}

TEST(LineWriter, the_host_is_added_once) {
  LineWriter w("h1");
  std::string out;
  w.append(out, {{"z", "1"}}, counter("m", 1));
  w.append(out, {{"host", "h2"}}, counter("m", 1));
  EXPECT_EQ(out, "m,host=h1,z=1 value=1 5\nm,host=h2 value=1 5\n");
}

TEST(LineWriter, a_field_keeps_the_type_it_had_first) {
  LineWriter w("");
  std::string out;
  auto put = [&](metrics::MetaValue v) {
    Sample s = counter("m", 1);
    s.meta = {{"f", std::move(v)}};
    return w.append(out, {}, s);
  };
  EXPECT_EQ(put(2.5), LineResult::kOk);
  EXPECT_EQ(put(std::int64_t{3}), LineResult::kOk);
  std::size_t before = out.size();
  EXPECT_EQ(put(std::string("x")), LineResult::kTypeConflict);
  EXPECT_EQ(out.size(), before);  // nothing of a refused line stays
  EXPECT_EQ(out, "m f=2.5,value=1 5\nm f=3,value=1 5\n");
}

TEST(SplitLine, takes_what_influxdb_takes) {
  for (const char* good : {"m v=1", "m v=1 5", "m,t=1 v=1i,w=\"a, b=c \\\" d\",x=t,y=1e5 -5",
                           "m\\ x,t\\,y=z\\= v=1u", "m  v=1  5  ", "m v=\"\""}) {
    EXPECT_TRUE(splitLine(good)) << good;
  }
  for (const char* bad :
       {"", "m", "m v", "m v=", "m v=x", "m v=1 x", ",t=1 v=1", "m,t v=1", "m,t= v=1", "m,=1 v=1",
        "m v=\"open", "m v=1,", "m =1", "m v=nan", "m v=1i2", "m v=1 5 6", "m,t=a\\ v=1"}) {
    EXPECT_FALSE(splitLine(bad)) << bad;
  }
}

TEST(SplitLine, reads_back_what_the_writer_wrote) {
  Sample s = counter("we ird,name", 0.1, -7);
  s.meta = {{"k=y ,", std::string("q\"\\ ,=")}, {"b", true}, {"i", std::int64_t{-9}}};
  std::string line = written({{"t ,=", "v ,="}}, s);
  line.pop_back();
  auto parts = splitLine(line);
  ASSERT_TRUE(parts);
  LinePoint p;
  ASSERT_TRUE(parseLinePoint(*parts, p));
  EXPECT_EQ(p.measurement, s.name);
  EXPECT_EQ(p.timestamp, -7);
  EXPECT_EQ(p.tags, (metrics::Dims{{"t ,=", "v ,="}}));
  ASSERT_EQ(p.fields.size(), 4u);
  EXPECT_EQ(p.fields[0].first, "k=y ,");
  EXPECT_EQ(std::get<std::string>(p.fields[0].second), "q\"\\ ,=");
  EXPECT_EQ(std::get<double>(p.fields[3].second), 0.1);
}

}  // namespace
}  // namespace godwit::agent
