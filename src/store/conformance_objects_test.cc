#include <algorithm>
#include <chrono>

#include "store/conformance.h"

// Objects, timestamps, tombstones, cascades.
namespace godwit::store {
namespace {

Timestamp nowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

// --- Create, get, update, remove

TEST_P(StoreConformance, CreateGetUpdateRemove) {
  Client c = client();
  auto made = c.create(records_, "a", R"({"title":"one"})");
  ASSERT_TRUE(made.ok()) << made.error().detail;
  EXPECT_EQ(made->id, "a");
  EXPECT_GT(made->last_modified, nowMs() - 60'000);
  EXPECT_EQ(made->data, R"({"title":"one"})");

  auto got = c.get(records_, "a");
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->last_modified, made->last_modified);
  EXPECT_EQ(js(got->data), js(R"({"title":"one"})"));
  EXPECT_FALSE(got->deleted);

  auto changed = c.update(records_, "a", R"({"other":2})");
  ASSERT_TRUE(changed.ok());
  EXPECT_GT(changed->last_modified, made->last_modified);
  EXPECT_EQ(js(c.get(records_, "a")->data), js(R"({"other":2})"));

  auto gone = c.remove(records_, "a");
  ASSERT_TRUE(gone.ok());
  EXPECT_TRUE(gone->deleted);
  EXPECT_EQ(gone->id, "a");
  EXPECT_GT(gone->last_modified, changed->last_modified);
  EXPECT_EQ(c.get(records_, "a").error().code, ErrorCode::kNotFound);
}

TEST_P(StoreConformance, MissingObjectsAreNotFound) {
  Client c = client();
  EXPECT_EQ(c.get(records_, "none").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(c.remove(records_, "none").error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(c.create(records_, "a").ok());
  ASSERT_TRUE(c.remove(records_, "a").ok());
  EXPECT_EQ(c.remove(records_, "a").error().code, ErrorCode::kNotFound);
  Ref elsewhere{"record", "/buckets/b/collections/d"};
  EXPECT_EQ(c.get(elsewhere, "a").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(c.ids(elsewhere), "");
  EXPECT_EQ(c.count(elsewhere), 0U);
}

TEST_P(StoreConformance, CreateOfALiveObjectConflicts) {
  Client c = client();
  ASSERT_TRUE(c.create(records_, "a", R"({"n":1})").ok());
  EXPECT_EQ(c.create(records_, "a", R"({"n":2})").error().code, ErrorCode::kConflict);
  EXPECT_EQ(js(c.get(records_, "a")->data), js(R"({"n":1})"));
  // The same id is free in another list and for another resource of the same parent.
  EXPECT_TRUE(c.create({"record", "/buckets/b/collections/d"}, "a").ok());
  EXPECT_TRUE(c.create({"other", records_.parent}, "a").ok());
}

TEST_P(StoreConformance, UpdateCreatesWhatIsMissing) {
  Client c = client();
  ASSERT_TRUE(c.update(records_, "a", R"({"n":1})").ok());
  EXPECT_EQ(js(c.get(records_, "a")->data), js(R"({"n":1})"));
  EXPECT_EQ(c.count(records_), 1U);
}

TEST_P(StoreConformance, TombstoneIsReplaced) {
  Client c = client();
  ASSERT_TRUE(c.create(records_, "a").ok());
  auto gone = c.remove(records_, "a");
  auto again = c.create(records_, "a", R"({"n":2})");
  ASSERT_TRUE(again.ok());
  EXPECT_GT(again->last_modified, gone->last_modified);
  Query all;
  all.include_deleted = true;
  EXPECT_EQ(c.ids(records_, all), "a");
  ASSERT_TRUE(c.remove(records_, "a").ok());
  ASSERT_TRUE(c.update(records_, "a").ok());
  EXPECT_EQ(c.ids(records_, all), "a");
  EXPECT_TRUE(c.get(records_, "a").ok());
}

TEST_P(StoreConformance, DataOfAnySizeAndKindComesBack) {
  Client c = client();
  std::string big = R"({"s":")" + std::string(300'000, 'x') + R"("})";
  std::string odd =
      R"({"":1,"a.b":{"c":[null,true,-0.5,1e300,12345678901234567890]},"u":"\u00E9\uD83D\uDE00\"\\"})";
  ASSERT_TRUE(c.create(records_, "big", big).ok());
  ASSERT_TRUE(c.create(records_, "odd", odd).ok());
  EXPECT_EQ(js(c.get(records_, "big")->data), js(big));
  EXPECT_EQ(js(c.get(records_, "odd")->data), js(odd));
}

// --- Timestamps

TEST_P(StoreConformance, TimestampOfAnEmptyListIsMadeAndKept) {
  Client c = client();
  auto reading = c.read([&](Session& s) { return s.timestamp(records_); });
  EXPECT_EQ(reading.error().code, ErrorCode::kNeedsWrite);
  auto first = c.timestamp(records_);
  ASSERT_TRUE(first.ok());
  EXPECT_GT(*first, nowMs() - 60'000);
  EXPECT_EQ(*c.timestamp(records_), *first);
  EXPECT_EQ(*c.read([&](Session& s) { return s.timestamp(records_); }), *first);
  auto made = c.create(records_, "a");
  EXPECT_GT(made->last_modified, *first);
  EXPECT_EQ(*c.timestamp(records_), made->last_modified);
}

TEST_P(StoreConformance, TimestampFollowsEveryChange) {
  Client c = client();
  Timestamp last = c.create(records_, "a")->last_modified;
  for (int i = 0; i < 3; ++i) {
    Timestamp t = c.update(records_, "a")->last_modified;
    EXPECT_GT(t, last);
    EXPECT_EQ(*c.timestamp(records_), t);
    last = t;
  }
  Timestamp t = c.remove(records_, "a")->last_modified;
  EXPECT_EQ(*c.timestamp(records_), t);
  // Other lists keep their own time.
  Ref other{"record", "/buckets/b/collections/d"};
  EXPECT_TRUE(c.timestamp(other).ok());
  EXPECT_EQ(*c.timestamp(records_), t);
}

TEST_P(StoreConformance, TenThousandCreatesHaveUniqueIncreasingTimestamps) {
  Client c = client();
  Timestamp last = 0;
  for (int batch = 0; batch < 20; ++batch) {
    std::vector<Timestamp> times;
    auto ran = c.run(Mode::kWrite, [&](Session& s) -> Task<Verdict> {
      times.clear();
      for (int i = 0; i < 500; ++i) {
        Object o = Client::object("r" + std::to_string(batch * 500 + i));
        auto task = s.create(records_, std::move(o));
        auto made = co_await task;
        if (!made.ok()) co_return Verdict::kRollback;
        times.push_back(made->last_modified);
      }
      co_return Verdict::kCommit;
    });
    ASSERT_TRUE(ran.ok()) << ran.error().detail;
    ASSERT_EQ(*ran, Verdict::kCommit);
    for (Timestamp t : times) {
      ASSERT_GT(t, last);
      last = t;
    }
  }
  EXPECT_EQ(c.count(records_), 10'000U);
  EXPECT_EQ(*c.timestamp(records_), last);
  Query ten;
  ten.limit = 3;
  EXPECT_EQ(c.ids(records_, ten), "r9999 r9998 r9997");
}

TEST_P(StoreConformance, RequestedTimestampInThePastIsKept) {
  Client c = client();
  Timestamp now = c.create(records_, "a")->last_modified;
  auto past = c.create(records_, "b", "{}", 1'000'000);
  ASSERT_TRUE(past.ok());
  EXPECT_EQ(past->last_modified, 1'000'000);
  EXPECT_EQ(c.get(records_, "b")->last_modified, 1'000'000);
  EXPECT_EQ(*c.timestamp(records_), now);
}

TEST_P(StoreConformance, RequestedTimestampInTheFutureMovesTheList) {
  Client c = client();
  Timestamp future = nowMs() + 3'600'000;
  EXPECT_EQ(c.create(records_, "a", "{}", future)->last_modified, future);
  EXPECT_EQ(*c.timestamp(records_), future);
  EXPECT_EQ(c.create(records_, "b")->last_modified, future + 1);
}

TEST_P(StoreConformance, RequestedTimestampEqualToTheListsIsRaised) {
  Client c = client();
  Timestamp t = c.create(records_, "a")->last_modified;
  EXPECT_EQ(c.create(records_, "b", "{}", t)->last_modified, t + 1);
  EXPECT_EQ(*c.timestamp(records_), t + 1);
}

TEST_P(StoreConformance, RequestedTimestampNotAboveTheObjectsIsIgnored) {
  Client c = client();
  Timestamp future = nowMs() + 3'600'000;
  ASSERT_TRUE(c.create(records_, "a", "{}", future).ok());
  ASSERT_TRUE(c.create(records_, "b", "{}", future + 10).ok());
  EXPECT_EQ(c.update(records_, "a", "{}", future)->last_modified, future + 11);
  EXPECT_EQ(c.update(records_, "a", "{}", 5)->last_modified, future + 12);
  EXPECT_EQ(c.update(records_, "b", "{}", future + 11)->last_modified, future + 11);
  EXPECT_EQ(c.remove(records_, "b", 5)->last_modified, future + 13);
  // A tombstone is the object's current state.
  EXPECT_EQ(c.create(records_, "b", "{}", future + 13)->last_modified, future + 14);
}

TEST_P(StoreConformance, RequestedTimestampOfATombstone) {
  Client c = client();
  Timestamp t = c.create(records_, "a")->last_modified;
  EXPECT_EQ(c.remove(records_, "a", t + 5'000'000)->last_modified, t + 5'000'000);
  EXPECT_EQ(*c.timestamp(records_), t + 5'000'000);
}

TEST_P(StoreConformance, RequestedTimestampThatAnotherObjectHasIsNotUsedTwice) {
  Client c = client();
  Timestamp now = c.create(records_, "a")->last_modified;
  ASSERT_EQ(c.create(records_, "b", "{}", 1'000)->last_modified, 1'000);
  auto same = c.create(records_, "c", "{}", 1'000);
  ASSERT_TRUE(same.ok());
  EXPECT_GT(same->last_modified, now);
  // Also when the other is a tombstone.
  ASSERT_EQ(c.remove(records_, "b", 2'000)->last_modified, 2'000);
  EXPECT_GT(c.create(records_, "d", "{}", 2'000)->last_modified, same->last_modified);
}

TEST_P(StoreConformance, RequestedTimestampOutOfRangeIsInvalid) {
  Client c = client();
  EXPECT_EQ(c.create(records_, "a", "{}", -1).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(c.create(records_, "a", "{}", Timestamp{1} << 60).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(c.get(records_, "a").error().code, ErrorCode::kNotFound);
}

TEST_P(StoreConformance, RecreatedListHasANewTimestamp) {
  Client c = client();
  auto removed = [&] {
    auto gone = c.write([&](Session& s) { return s.removeAll(records_, everything_, false); });
    auto forgotten =
        c.write([&](Session& s) { return s.removeTimestamps("/buckets/b/collections/c"); });
    return gone.ok() && forgotten.ok();
  };
  ASSERT_TRUE(c.create(records_, "a").ok());
  Timestamp before = c.create(records_, "b")->last_modified;
  ASSERT_TRUE(removed());
  auto looked = c.read([&](Session& s) { return s.timestamp(records_); });
  if (looked.ok()) {
    EXPECT_GT(*looked, before);
  } else {
    EXPECT_EQ(looked.error().code, ErrorCode::kNeedsWrite);
  }
  EXPECT_GT(*c.timestamp(records_), before);
  EXPECT_GT(c.create(records_, "a")->last_modified, before);
  // Nor while it is ahead of the clock, from where the next one goes on.
  Timestamp ahead = before + 3'600'000;
  ASSERT_EQ(c.create(records_, "c", "{}", ahead)->last_modified, ahead);
  ASSERT_TRUE(removed());
  Timestamp again = *c.timestamp(records_);
  EXPECT_GT(again, ahead);
  EXPECT_GT(c.create(records_, "a")->last_modified, again);
}

// --- Listing

TEST_P(StoreConformance, ListIsNewestFirstWithoutTombstones) {
  Client c = client();
  for (const char* id : {"a", "b", "c", "d"}) ASSERT_TRUE(c.create(records_, id).ok());
  ASSERT_TRUE(c.update(records_, "b").ok());
  ASSERT_TRUE(c.remove(records_, "c").ok());
  EXPECT_EQ(c.ids(records_), "b d a");
  EXPECT_EQ(c.count(records_), 3U);
  Query all;
  all.include_deleted = true;
  EXPECT_EQ(c.ids(records_, all), "c b d a");
  EXPECT_EQ(c.count(records_, all), 3U);
  auto listed = c.list(records_, all);
  EXPECT_TRUE(listed->front().deleted);
  EXPECT_EQ(listed->front().data, "{}");
  EXPECT_FALSE(listed->back().deleted);
}

TEST_P(StoreConformance, LimitTakesTheFirst) {
  Client c = client();
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(c.create(records_, id).ok());
  Query q;
  q.limit = 2;
  EXPECT_EQ(c.ids(records_, q), "c b");
  q.limit = 0;
  EXPECT_EQ(c.ids(records_, q), "");
  q.limit = 10;
  EXPECT_EQ(c.ids(records_, q), "c b a");
}

// --- Deleting many

TEST_P(StoreConformance, RemoveAllHonoursFilterSortAndLimit) {
  Client c = client();
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(
        c.create(records_, "r" + std::to_string(i),
                 R"({"n":)" + std::to_string(i) + R"(,"even":)" + (i % 2 ? "false" : "true") + "}")
            .ok());
  }
  Query q = where("even", Op::kEq, "true");
  q.sort.push_back({"n", true});
  q.limit = 2;
  auto gone = c.write([&](Session& s) { return s.removeAll(records_, q, true); });
  ASSERT_TRUE(gone.ok()) << gone.error().detail;
  ASSERT_EQ(gone->size(), 2U);
  EXPECT_EQ((*gone)[0].tombstone.id, "r4");
  EXPECT_EQ((*gone)[1].tombstone.id, "r2");
  EXPECT_EQ((*gone)[0].parent, records_.parent);
  EXPECT_TRUE((*gone)[0].tombstone.deleted);
  EXPECT_LT((*gone)[0].tombstone.last_modified, (*gone)[1].tombstone.last_modified);
  EXPECT_EQ(*c.timestamp(records_), (*gone)[1].tombstone.last_modified);
  EXPECT_EQ(c.ids(records_), "r5 r3 r1 r0");
  Query all;
  all.include_deleted = true;
  EXPECT_EQ(c.ids(records_, all), "r2 r4 r5 r3 r1 r0");
  EXPECT_EQ(c.count(records_), 4U);
}

TEST_P(StoreConformance, RemoveAllWithoutTombstonesLeavesNoTrace) {
  Client c = client();
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(c.create(records_, id).ok());
  ASSERT_TRUE(c.remove(records_, "a").ok());
  Timestamp before = *c.timestamp(records_);
  auto gone = c.write([&](Session& s) { return s.removeAll(records_, everything_, false); });
  EXPECT_EQ(gone->size(), 2U);
  EXPECT_EQ(*c.timestamp(records_), before);
  EXPECT_EQ(c.count(records_), 0U);
  Query all;
  all.include_deleted = true;
  EXPECT_EQ(c.ids(records_, all), "a");  // tombstones are purged, not removed
}

TEST_P(StoreConformance, ListsOfManyParentsAreOneByPattern) {
  Client c = client();
  for (const char* name : {"alice", "bob", "carol"}) {
    ASSERT_TRUE(c.create({"account", name}, name).ok());
  }
  ASSERT_TRUE(c.create({"other", "dave"}, "dave").ok());
  Ref all{"account", "*"};
  Query query;
  query.sort.push_back({"id", false});
  auto found = c.read([&](Session& s) { return s.list(all, query); });
  ASSERT_TRUE(found.ok()) << found.error().detail;
  ASSERT_EQ(found->size(), 3U);
  EXPECT_EQ(found->front().id, "alice");
  EXPECT_EQ(found->back().id, "carol");
  EXPECT_EQ(*c.read([&](Session& s) { return s.count(all, query); }), 3U);
  query.filters.push_back({"id", Op::kEq, json::Value("bob")});
  EXPECT_EQ(*c.read([&](Session& s) { return s.count(all, query); }), 1U);
}

TEST_P(StoreConformance, CascadesFollowPatterns) {
  Client c = client();
  Ref buckets{"bucket", ""};
  ASSERT_TRUE(c.create(buckets, "b").ok());
  ASSERT_TRUE(c.create(buckets, "bb").ok());
  for (const char* b : {"b", "bb"}) {
    std::string bucket = std::string("/buckets/") + b;
    ASSERT_TRUE(c.create({"group", bucket}, "g").ok());
    ASSERT_TRUE(c.create({"collection", bucket}, "c").ok());
    ASSERT_TRUE(c.create({"record", bucket + "/collections/c"}, "r").ok());
    ASSERT_TRUE(c.create({"record", bucket + "/collections/d"}, "r").ok());
    ASSERT_TRUE(c.create({"record", bucket + "/collections/d"}, "s").ok());
    ASSERT_TRUE(c.remove({"record", bucket + "/collections/d"}, "s").ok());
  }
  Ref below{"", "/buckets/b/*"};
  Ref inside{"", "/buckets/b"};
  auto gone = c.write([&](Session& s) { return s.removeAll(below, everything_, false); });
  ASSERT_TRUE(gone.ok()) << gone.error().detail;
  EXPECT_EQ(gone->size(), 2U);
  gone = c.write([&](Session& s) { return s.removeAll(inside, everything_, false); });
  EXPECT_EQ(gone->size(), 2U);
  EXPECT_EQ(*c.write([&](Session& s) { return s.purgeTombstones(below, std::nullopt); }), 1U);
  ASSERT_TRUE(c.write([&](Session& s) { return s.removeTimestamps("/buckets/b/*"); }).ok());
  ASSERT_TRUE(c.write([&](Session& s) { return s.removeTimestamps("/buckets/b"); }).ok());

  auto counts = c.read([&](Session& s) { return s.counts(); });
  ASSERT_TRUE(counts.ok());
  std::map<std::string, std::uint64_t> objects{
      {"bucket", 2}, {"group", 1}, {"collection", 1}, {"record", 2}};
  std::map<std::string, std::uint64_t> tombstones{{"record", 1}};
  EXPECT_EQ(counts->objects, objects);
  EXPECT_EQ(counts->tombstones, tombstones);
  EXPECT_TRUE(c.get({"record", "/buckets/bb/collections/c"}, "r").ok());
  EXPECT_EQ(c.get({"record", "/buckets/b/collections/c"}, "r").error().code, ErrorCode::kNotFound);
}

TEST_P(StoreConformance, PatternsTakeOtherCharactersLiterally) {
  Client c = client();
  for (const char* parent : {"/buckets/a_b/x", "/buckets/axb/x", "/buckets/a%b/x"}) {
    ASSERT_TRUE(c.create({"record", parent}, "r").ok());
  }
  Ref pattern{"", "/buckets/a_b/*"};
  auto gone = c.write([&](Session& s) { return s.removeAll(pattern, everything_, false); });
  ASSERT_TRUE(gone.ok()) << gone.error().detail;
  ASSERT_EQ(gone->size(), 1U);
  EXPECT_EQ(gone->front().parent, "/buckets/a_b/x");
}

// --- Tombstones

TEST_P(StoreConformance, PurgeBeforeATime) {
  Client c = client();
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(c.create(records_, id).ok());
  ASSERT_TRUE(c.remove(records_, "a").ok());
  Timestamp middle = c.remove(records_, "b")->last_modified;
  auto n = c.write([&](Session& s) { return s.purgeTombstones(records_, middle); });
  ASSERT_TRUE(n.ok());
  EXPECT_EQ(*n, 1U);
  Query all;
  all.include_deleted = true;
  EXPECT_EQ(c.ids(records_, all), "b c");
  EXPECT_EQ(*c.write([&](Session& s) { return s.purgeTombstones(records_, std::nullopt); }), 1U);
  EXPECT_EQ(c.ids(records_, all), "c");
  EXPECT_EQ(*c.timestamp(records_), middle);
}

TEST_P(StoreConformance, TrimKeepsTheNewestTombstonesOfEachList) {
  Client c = client();
  Ref other{"record", "/buckets/b/collections/d"};
  for (const Ref& ref : {records_, other}) {
    for (const char* id : {"a", "b", "c"}) {
      ASSERT_TRUE(c.create(ref, id).ok());
      ASSERT_TRUE(c.remove(ref, id).ok());
    }
    ASSERT_TRUE(c.create(ref, "live").ok());
  }
  EXPECT_EQ(*c.write([&](Session& s) { return s.trimTombstones("record", 2); }), 2U);
  EXPECT_EQ(*c.write([&](Session& s) { return s.trimTombstones("record", 2); }), 0U);
  EXPECT_EQ(*c.write([&](Session& s) { return s.trimTombstones("group", 0); }), 0U);
  Query all;
  all.include_deleted = true;
  EXPECT_EQ(c.ids(records_, all), "live c b");
  EXPECT_EQ(c.ids(other, all), "live c b");
}

TEST_P(StoreConformance, TrimKeepsTheNewestObjects) {
  Client c = client();
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(
        c.create(records_, "r" + std::to_string(i), i % 2 ? R"({"odd":true})" : R"({"odd":false})")
            .ok());
  }
  Query odd = where("odd", Op::kEq, "true");
  EXPECT_EQ(*c.write([&](Session& s) { return s.trimObjects(records_, odd, 1); }), 2U);
  EXPECT_EQ(c.ids(records_), "r5 r4 r2 r0");
  EXPECT_EQ(*c.write([&](Session& s) { return s.trimObjects(records_, everything_, 2); }), 2U);
  Query all;
  all.include_deleted = true;
  EXPECT_EQ(c.ids(records_, all), "r5 r4");
  EXPECT_EQ(c.count(records_), 2U);
}

// --- Counting

TEST_P(StoreConformance, SizeCountsLiveDataBelowAPattern) {
  Client c = client();
  ASSERT_TRUE(c.create(records_, "a", R"({"x":"1234"})").ok());
  ASSERT_TRUE(c.create({"record", "/buckets/b/collections/d"}, "a", R"({"x":"12"})").ok());
  ASSERT_TRUE(c.create({"record", "/buckets/z/collections/d"}, "a", R"({"x":"12"})").ok());
  Ref all{"record", "/buckets/b/*"};
  auto size = c.read([&](Session& s) { return s.size(all); });
  ASSERT_TRUE(size.ok());
  EXPECT_EQ(size->items, 2U);
  std::uint64_t both = size->bytes;
  EXPECT_GE(both, 22U);
  ASSERT_TRUE(c.update(records_, "a", R"({"x":"12345678"})").ok());
  size = c.read([&](Session& s) { return s.size(all); });
  EXPECT_EQ(size->bytes, both + 4);
  ASSERT_TRUE(c.remove(records_, "a").ok());
  size = c.read([&](Session& s) { return s.size(all); });
  EXPECT_EQ(size->items, 1U);
  EXPECT_LT(size->bytes, both);
}

TEST_P(StoreConformance, FlushEmptiesEverything) {
  Client c = client();
  ASSERT_TRUE(c.create(records_, "a").ok());
  ASSERT_TRUE(c.remove(records_, "a").ok());
  ASSERT_TRUE(c.create(records_, "b").ok());
  ASSERT_TRUE(c.write([&](Session& s) { return s.addUserPrincipal("u", "g"); }).ok());
  Ace ace{"/x", "read", "u"};
  ASSERT_TRUE(c.write([&](Session& s) { return s.addAce(ace); }).ok());
  ASSERT_TRUE(c.write([&](Session& s) { return s.flush(); }).ok());
  auto counts = c.read([&](Session& s) { return s.counts(); });
  EXPECT_TRUE(counts->objects.empty());
  EXPECT_TRUE(counts->tombstones.empty());
  EXPECT_TRUE(c.read([&](Session& s) { return s.userPrincipals("u"); })->empty());
  std::vector<std::string> uris{"/x"};
  EXPECT_TRUE(c.read([&](Session& s) { return s.aces(uris); })->empty());
  EXPECT_EQ(c.read([&](Session& s) { return s.timestamp(records_); }).error().code,
            ErrorCode::kNeedsWrite);
  ASSERT_TRUE(c.create(records_, "b").ok());
}

}  // namespace godwit::store
