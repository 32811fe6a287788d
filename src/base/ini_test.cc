#include "base/ini.h"

#include <gtest/gtest.h>

namespace godwit {
namespace {

Ini read(std::string_view text, Ini::Variables variables = {}) {
  auto ini = Ini::parse(text, "f.ini", std::move(variables));
  EXPECT_TRUE(ini.ok()) << (ini.ok() ? "" : ini.error().message);
  return ini.ok() ? *ini : Ini();
}

std::string valueOf(const Ini& ini, std::string_view section, std::string_view key) {
  const Ini::Section* s = ini.find(section);
  if (s == nullptr) return "no section";
  for (const Ini::Entry& e : s->entries) {
    if (e.key != key) continue;
    auto v = ini.value(*s, e);
    return v.ok() ? *v : v.error().message;
  }
  return "no key";
}

std::string errorOf(std::string_view text) {
  auto ini = Ini::parse(text, "f.ini");
  return ini.ok() ? "accepted" : ini.error().message;
}

TEST(Ini, reads_what_configparser_reads) {
  Ini ini = read(
      "# comment\n"
      "[app:main]\r\n"
      "use = egg:kinto\n"
      "kinto.includes = kinto.plugins.default_bucket\n"
      "                 kinto.plugins.admin\n"
      "\n"
      "#                kinto.plugins.history\n"
      "\tkinto.plugins.flush\n"
      "url: postgresql://a:b@c/d ; not a comment\n"
      "  indented = is a continuation\n"
      "Case = 1\n"
      "empty =\n"
      "; comment\n"
      "[server:main]\n"
      "  host = 0.0.0.0\n"
      "  port: 9\n");
  EXPECT_EQ(valueOf(ini, "app:main", "kinto.includes"),
            "kinto.plugins.default_bucket\nkinto.plugins.admin\n\nkinto.plugins.flush");
  EXPECT_EQ(valueOf(ini, "app:main", "url"),
            "postgresql://a:b@c/d ; not a comment\nindented = is a continuation");
  EXPECT_EQ(valueOf(ini, "app:main", "case"), "no key");
  EXPECT_EQ(valueOf(ini, "app:main", "Case"), "1");
  EXPECT_EQ(valueOf(ini, "app:main", "empty"), "");
  EXPECT_EQ(valueOf(ini, "server:main", "host"), "0.0.0.0");
  EXPECT_EQ(valueOf(ini, "server:main", "port"), "9");
  EXPECT_EQ(ini.where(ini.find("server:main")->entries[0].line), "f.ini:15");
}

TEST(Ini, interpolates_when_asked) {
  Ini ini = read(
      "[DEFAULT]\n"
      "home = %(here)s/data\n"
      "[a]\n"
      "path = %(home)s/%(name)s.db\n"
      "name = x\n"
      "percent = 100%%\n"
      "bad = 50% off\n"
      "unknown = %(nothing)s\n"
      "loop = %(loop)s\n"
      "[formatter]\n"
      "format = %(levelname)-5.5s\n",
      {{"here", "/srv"}});
  EXPECT_EQ(valueOf(ini, "a", "path"), "/srv/data/x.db");
  EXPECT_EQ(valueOf(ini, "a", "percent"), "100%");
  EXPECT_EQ(valueOf(ini, "a", "bad"),
            "f.ini:7: value of 'bad': '%' must be followed by '%' or '(name)s' (hint: write %% for "
            "a percent sign)");
  EXPECT_EQ(valueOf(ini, "a", "unknown"),
            "f.ini:8: value of 'unknown': '%(nothing)s' is not defined");
  EXPECT_EQ(valueOf(ini, "a", "loop"), "f.ini:9: value of 'loop': %(...)s goes round in circles");
  EXPECT_EQ(ini.find("DEFAULT"), nullptr);
}

TEST(Ini, doubling_variables_stay_bounded) {
  std::string text = "[a]\nv0 = xxxxxxxxxxxxxxxx\n";
  for (int i = 1; i <= 9; ++i) {
    std::string use = "%(v" + std::to_string(i - 1) + ")s";
    text += "v" + std::to_string(i) + " = ";
    for (int k = 0; k < 20; ++k) text += use;
    text += "\n";
  }
  Ini ini = read(text);
  EXPECT_NE(valueOf(ini, "a", "v9").find("longer than 1 MiB"), std::string::npos);
}

TEST(Ini, names_file_line_and_reason) {
  EXPECT_EQ(errorOf("\nkey = 1\n"),
            "f.ini:2: no section header above this line (hint: [app:main])");
  EXPECT_EQ(errorOf("[a]\nword\n"), "f.ini:2: expecting 'key = value'");
  EXPECT_EQ(errorOf("[a]\n= 1\n"), "f.ini:2: no key in front of '='");
  EXPECT_EQ(errorOf("[a\n"), "f.ini:1: section header is not closed");
  EXPECT_EQ(errorOf("[a]\n[a]\n"), "f.ini:2: section [a] was opened before, in line 1");
  EXPECT_FALSE(Ini::load("/nonexistent/x.ini").ok());
}

}  // namespace
}  // namespace godwit
