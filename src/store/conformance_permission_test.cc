#include <algorithm>

#include "store/conformance.h"

// Groups, access control entries, the hot read.
namespace godwit::store {
namespace {

std::string sorted(std::vector<std::string> v) {
  std::sort(v.begin(), v.end());
  std::string out;
  for (const auto& s : v) out += (out.empty() ? "" : " ") + s;
  return out;
}

// "uri permission principal" of each, sorted, joined by " | ".
std::string text(const Result<std::vector<Ace>>& aces) {
  if (!aces.ok()) return "error: " + aces.error().message;
  std::vector<std::string> lines;
  for (const Ace& a : *aces) lines.push_back(a.uri + " " + a.permission + " " + a.principal);
  std::sort(lines.begin(), lines.end());
  std::string out;
  for (const auto& l : lines) out += (out.empty() ? "" : " | ") + l;
  return out;
}

}  // namespace

TEST_P(StoreConformance, GroupsOfUsers) {
  Client c = client();
  auto add = [&](const char* user, const char* group) {
    ASSERT_TRUE(c.write([&](Session& s) { return s.addUserPrincipal(user, group); }).ok());
  };
  auto of = [&](const char* user) {
    return sorted(*c.read([&](Session& s) { return s.userPrincipals(user); }));
  };
  EXPECT_EQ(of("alice"), "");
  add("alice", "/buckets/b/groups/g");
  add("alice", "/buckets/b/groups/g");
  add("alice", "/buckets/b/groups/h");
  add("alice", "/buckets/c/groups/g");
  add("bob", "/buckets/b/groups/g");
  EXPECT_EQ(of("alice"), "/buckets/b/groups/g /buckets/b/groups/h /buckets/c/groups/g");
  ASSERT_TRUE(c.write([&](Session& s) {
                 return s.removeUserPrincipal("alice", "/buckets/b/groups/h");
               }).ok());
  EXPECT_EQ(of("alice"), "/buckets/b/groups/g /buckets/c/groups/g");
  ASSERT_TRUE(c.write([&](Session& s) { return s.removePrincipal("/buckets/c/groups/g"); }).ok());
  EXPECT_EQ(of("alice"), "/buckets/b/groups/g");
  ASSERT_TRUE(c.write([&](Session& s) { return s.removePrincipal("/buckets/b/groups/*"); }).ok());
  EXPECT_EQ(of("alice"), "");
  EXPECT_EQ(of("bob"), "");
  // Everybody logged in has the groups of system.Authenticated, once.
  add("system.Authenticated", "/buckets/b/groups/all");
  add("bob", "/buckets/b/groups/all");
  EXPECT_EQ(of("alice"), "/buckets/b/groups/all");
  EXPECT_EQ(of("bob"), "/buckets/b/groups/all");
  EXPECT_EQ(of("system.Authenticated"), "/buckets/b/groups/all");
  // Removing what is not there is no error.
  EXPECT_TRUE(c.write([&](Session& s) { return s.removeUserPrincipal("x", "y"); }).ok());
  EXPECT_TRUE(c.write([&](Session& s) { return s.removePrincipal("nobody*"); }).ok());
}

TEST_P(StoreConformance, AcesAreReplacedByPermission) {
  Client c = client();
  std::vector<std::string> uris{"/buckets/b", "/buckets/none"};
  Permissions both{{"read", {"u1", "u2"}}, {"write", {"u1"}}};
  ASSERT_TRUE(c.write([&](Session& s) { return s.replaceAces("/buckets/b", both); }).ok());
  EXPECT_EQ(text(c.read([&](Session& s) { return s.aces(uris); })),
            "/buckets/b read u1 | /buckets/b read u2 | /buckets/b write u1");
  Permissions only_read{{"read", {"u3", "u3"}}};
  ASSERT_TRUE(c.write([&](Session& s) { return s.replaceAces("/buckets/b", only_read); }).ok());
  EXPECT_EQ(text(c.read([&](Session& s) { return s.aces(uris); })),
            "/buckets/b read u3 | /buckets/b write u1");
  Permissions none{{"write", {}}};
  ASSERT_TRUE(c.write([&](Session& s) { return s.replaceAces("/buckets/b", none); }).ok());
  EXPECT_EQ(text(c.read([&](Session& s) { return s.aces(uris); })), "/buckets/b read u3");
}

TEST_P(StoreConformance, AcesAreAddedAndRemovedSingly) {
  Client c = client();
  std::vector<std::string> uris{"/x"};
  Ace ace{"/x", "record:create", "u1"};
  Ace other{"/x", "record:create", "u2"};
  for (const Ace& a : {ace, ace, other}) {
    ASSERT_TRUE(c.write([&](Session& s) { return s.addAce(a); }).ok());
  }
  EXPECT_EQ(text(c.read([&](Session& s) { return s.aces(uris); })),
            "/x record:create u1 | /x record:create u2");
  ASSERT_TRUE(c.write([&](Session& s) { return s.removeAce(ace); }).ok());
  ASSERT_TRUE(c.write([&](Session& s) { return s.removeAce(ace); }).ok());
  EXPECT_EQ(text(c.read([&](Session& s) { return s.aces(uris); })), "/x record:create u2");
}

TEST_P(StoreConformance, AcesAreRemovedByPattern) {
  Client c = client();
  std::vector<std::string> uris{"/buckets/b", "/buckets/b/groups/g", "/buckets/b/collections/c",
                                "/buckets/bb"};
  for (const std::string& uri : uris) {
    Permissions p{{"read", {"u"}}};
    ASSERT_TRUE(c.write([&](Session& s) { return s.replaceAces(uri, p); }).ok());
  }
  std::vector<std::string> patterns{"/buckets/b", "/buckets/b/*"};
  ASSERT_TRUE(c.write([&](Session& s) { return s.removeAces(patterns); }).ok());
  EXPECT_EQ(text(c.read([&](Session& s) { return s.aces(uris); })), "/buckets/bb read u");
}

TEST_P(StoreConformance, AccessibleObjects) {
  Client c = client();
  auto grant = [&](const std::string& uri, const char* permission, const char* principal) {
    Ace ace{uri, permission, principal};
    ASSERT_TRUE(c.write([&](Session& s) { return s.addAce(ace); }).ok());
  };
  const std::string records = "/buckets/b/collections/c/records/";
  grant(records + "r1", "read", "alice");
  grant(records + "r1", "write", "alice");
  grant(records + "r2", "write", "group");
  grant(records + "r3", "read", "bob");
  grant("/buckets/b/collections/d/records/r1", "read", "alice");
  grant("/buckets/b", "write", "alice");
  std::vector<std::string> me{"alice", "group", "system.Everyone"};
  auto ask = [&](std::vector<Session::Bound> bound, bool children) {
    return text(c.read([&](Session& s) { return s.accessible(me, bound, children); }));
  };
  EXPECT_EQ(ask({}, true), "/buckets/b write alice | " + records + "r1 read alice | " + records +
                               "r1 write alice | " + records +
                               "r2 write group | "
                               "/buckets/b/collections/d/records/r1 read alice");
  EXPECT_EQ(ask({{records + "*", "read"}}, false), records + "r1 read alice");
  EXPECT_EQ(
      ask({{records + "*", "read"}, {records + "*", "write"}}, false),
      records + "r1 read alice | " + records + "r1 write alice | " + records + "r2 write group");
  EXPECT_EQ(ask({{"/buckets/*", "read"}}, false), "");
  EXPECT_EQ(ask({{"/buckets/*", "write"}}, false), "/buckets/b write alice");
  EXPECT_EQ(
      ask({{"/buckets/*", "write"}}, true),
      "/buckets/b write alice | " + records + "r1 write alice | " + records + "r2 write group");
  EXPECT_EQ(ask({{"/buckets/b/collections/d", "read"}}, true),
            "/buckets/b/collections/d/records/r1 read alice");
  EXPECT_EQ(ask({{"/buckets/b/collections/d", "read"}}, false), "");
  me.clear();
  EXPECT_EQ(ask({}, true), "");
}

TEST_P(StoreConformance, LoadFetchesEverythingTogether) {
  Client c = client();
  ASSERT_TRUE(c.create(records_, "r", R"({"n":1})").ok());
  ASSERT_TRUE(c.write([&](Session& s) { return s.addUserPrincipal("alice", "g1"); }).ok());
  ASSERT_TRUE(c.write([&](Session& s) { return s.addUserPrincipal("alice", "g2"); }).ok());
  Permissions p{{"read", {"g1"}}, {"write", {"bob"}}};
  const std::string uri = "/buckets/b/collections/c/records/r";
  ASSERT_TRUE(c.write([&](Session& s) { return s.replaceAces(uri, p); }).ok());
  ASSERT_TRUE(c.write([&](Session& s) { return s.replaceAces("/buckets/b", p); }).ok());

  LoadSpec spec;
  spec.user = "alice";
  spec.uris = {uri, "/buckets/b/collections/c", "/buckets/b"};
  spec.ref = records_;
  spec.id = "r";
  auto load = [&] { return c.call(Mode::kPoint, [&](Session& s) { return s.load(spec); }); };
  auto loaded = load();
  ASSERT_TRUE(loaded.ok()) << loaded.error().detail;
  EXPECT_EQ(sorted(loaded->groups), "g1 g2");
  EXPECT_EQ(text(loaded->aces), "/buckets/b read g1 | /buckets/b write bob | " + uri +
                                    " read g1 | " + uri + " write bob");
  ASSERT_TRUE(loaded->object.has_value());
  EXPECT_EQ(loaded->object->id, "r");
  EXPECT_EQ(js(loaded->object->data), js(R"({"n":1})"));
  EXPECT_EQ(loaded->object->last_modified, c.get(records_, "r")->last_modified);

  ASSERT_TRUE(c.remove(records_, "r").ok());
  spec.user = "";
  spec.uris = {};
  loaded = load();
  ASSERT_TRUE(loaded.ok());
  EXPECT_TRUE(loaded->groups.empty());
  EXPECT_TRUE(loaded->aces.empty());
  EXPECT_FALSE(loaded->object.has_value());
  spec.ref.reset();
  EXPECT_TRUE(load().ok());
}

}  // namespace godwit::store
