#include "store/conformance.h"

#include <cstdlib>
#include <iostream>

namespace godwit::store {

// A backend may be absent from a build; its suite is then simply not instantiated.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(StoreConformance);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CacheConformance);

json::Value js(std::string_view text) {
  auto v = json::parse(text);
  if (!v.ok()) {
    std::cerr << "bad JSON in a test: " << text << "\n";
    std::abort();
  }
  return std::move(*v);
}

Filter filter(std::string field, Op op, std::string_view json) {
  Filter f;
  f.field = std::move(field);
  f.op = op;
  f.value = js(json);
  return f;
}

Query where(std::string field, Op op, std::string_view json) {
  Query q;
  q.filters.push_back(filter(std::move(field), op, json));
  return q;
}

std::string Client::ids(const Ref& ref, const Query& query) {
  auto found = list(ref, query);
  if (!found.ok()) return "error: " + found.error().message;
  std::string out;
  for (const Object& o : *found) out += (out.empty() ? "" : " ") + o.id;
  return out;
}

void StoreConformance::SetUp() {
  auto opened = GetParam().open();
  if (!opened) GTEST_SKIP() << GetParam().name << " cannot run here";
  opened_ = std::move(*opened);
}

void StoreConformance::TearDown() {
  if (opened_.cache) opened_.cache->stop(Deadline::after(kTestWait));
  if (opened_.backend) opened_.backend->stop(Deadline::after(kTestWait));
  home_.run([] {});
}

void CacheConformance::SetUp() {
  auto opened = GetParam().open();
  if (!opened) GTEST_SKIP() << GetParam().name << " cannot run here";
  opened_ = std::move(*opened);
}

void CacheConformance::TearDown() {
  if (opened_.cache) opened_.cache->stop(Deadline::after(kTestWait));
  if (opened_.backend) opened_.backend->stop(Deadline::after(kTestWait));
  home_.run([] {});
}

namespace {

template <class T, class Start>
Result<T> await(TestReactor& home, Start start) {
  std::promise<Result<T>> promise;
  home.post([&] { start([&](Result<T> r) { promise.set_value(std::move(r)); }); });
  return promise.get_future().get();
}

}  // namespace

std::optional<std::string> CacheConformance::get(std::string_view key) {
  auto r = await<std::optional<std::string>>(
      home_, [&](auto done) { opened_.cache->get(home_, key, done); });
  EXPECT_TRUE(r.ok());
  return r.ok() ? *r : std::nullopt;
}

std::optional<std::string> CacheConformance::take(std::string_view key) {
  auto r = await<std::optional<std::string>>(
      home_, [&](auto done) { opened_.cache->take(home_, key, done); });
  EXPECT_TRUE(r.ok());
  return r.ok() ? *r : std::nullopt;
}

Result<bool> CacheConformance::set(std::string_view key, std::string value,
                                   std::chrono::milliseconds ttl) {
  return await<bool>(
      home_, [&](auto done) { opened_.cache->set(home_, key, std::move(value), ttl, done); });
}

bool CacheConformance::expire(std::string_view key, std::chrono::milliseconds ttl) {
  auto r = await<bool>(home_, [&](auto done) { opened_.cache->expire(home_, key, ttl, done); });
  EXPECT_TRUE(r.ok());
  return r.ok() && *r;
}

bool CacheConformance::flush() {
  auto r = await<bool>(home_, [&](auto done) { opened_.cache->flush(home_, done); });
  EXPECT_TRUE(r.ok());
  return r.ok() && *r;
}

}  // namespace godwit::store
