// Public conformance vectors. They are not part of the tree: $GODWIT_CONFORMANCE names the folder
// that holds json-parsing/ and json-patch/, else ../shared/conformance beside the source tree is
// tried.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "json/patch.h"
#include "json/schema/schema.h"
#include "json/text.h"

namespace godwit::json {
namespace {

namespace fs = std::filesystem;

fs::path folder(const char* name) {
  if (const char* env = std::getenv("GODWIT_CONFORMANCE")) return fs::path(env) / name;
  for (fs::path p = fs::absolute(__FILE__).parent_path(); p != p.root_path(); p = p.parent_path()) {
    for (const char* at : {"shared/conformance", "conformance"}) {
      if (fs::exists(p / at / name)) return p / at / name;
    }
  }
  return {};
}

std::string contentOf(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream s;
  s << in.rdbuf();
  return s.str();
}

TEST(JsonVectors, parsing) {
  fs::path dir = folder("json-parsing");
  if (dir.empty()) GTEST_SKIP() << "no conformance vectors (set GODWIT_CONFORMANCE)";
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(dir)) {
    std::string name = entry.path().filename();
    if (entry.path().extension() != ".json") continue;
    ++seen;
    std::string text = contentOf(entry.path());
    auto v = parse(text);
    if (name[0] == 'y' || name[0] == 'n') {
      EXPECT_EQ(v.ok(), name[0] == 'y') << name;
    }
    EXPECT_EQ(sliceObject(text).ok(), v.ok() && v->isObject()) << name;
    if (!v.ok()) continue;
    std::string out;
    canonicalTo(out, text);
    EXPECT_EQ(out, dump(*v)) << name;
  }
  EXPECT_GT(seen, 300);
}

TEST(JsonVectors, patch) {
  fs::path dir = folder("json-patch");
  if (dir.empty()) GTEST_SKIP() << "no conformance vectors (set GODWIT_CONFORMANCE)";
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(dir)) {
    if (entry.path().extension() != ".json") continue;
    auto cases = parse(contentOf(entry.path()));
    ASSERT_TRUE(cases.ok()) << entry.path();
    for (const Value& c : cases->asArray()) {
      if (c.get("disabled") != nullptr || c.get("patch") == nullptr) continue;
      ++seen;
      auto r = applyPatch(*c.get("doc"), *c.get("patch"));
      if (c.get("error") != nullptr) {
        EXPECT_FALSE(r.ok()) << dump(c);
      } else {
        EXPECT_TRUE(r.ok()) << dump(c) << r.error().message;
        if (r.ok() && c.get("expected") != nullptr) {
          EXPECT_EQ(*r, *c.get("expected")) << dump(c);
        }
      }
    }
  }
  EXPECT_GT(seen, 80);
}

TEST(JsonVectors, schema_draft7) {
  fs::path dir = folder("json-schema-draft7");
  if (dir.empty()) GTEST_SKIP() << "no conformance vectors (set GODWIT_CONFORMANCE)";
  // Documents elsewhere are never fetched, so a schema that needs one does not compile.
  const std::set<std::string> fetching = {"refRemote.json"};
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(dir)) {
    if (entry.path().extension() != ".json") continue;
    auto groups = parse(contentOf(entry.path()));
    ASSERT_TRUE(groups.ok()) << entry.path();
    for (const Value& group : groups->asArray()) {
      auto schema = Schema::compile(*group.get("schema"), Dialect::kDraft7);
      if (!schema.ok() && fetching.contains(entry.path().filename())) continue;
      ASSERT_TRUE(schema.ok()) << dump(group) << schema.error().message;
      EXPECT_TRUE(checkSchema(*group.get("schema")).ok()) << dump(*group.get("schema"));
      for (const Value& test : group.get("tests")->asArray()) {
        ++seen;
        auto found = (*schema)->firstViolation(*test.get("data"));
        ASSERT_TRUE(found.ok()) << dump(group);
        EXPECT_EQ(found->empty(), test.get("valid")->asBool())
            << entry.path().filename() << ": " << group.get("description")->asString() << ": "
            << test.get("description")->asString();
      }
    }
  }
  EXPECT_GT(seen, 500);
}

}  // namespace
}  // namespace godwit::json
