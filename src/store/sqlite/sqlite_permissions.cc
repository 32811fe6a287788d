#include <algorithm>
#include <set>

#include "store/glob.h"
#include "store/sqlite/sqlite_store.h"

// Groups and access control entries of SqliteStore.
namespace godwit::store::sqlite {
namespace {

// A URI is stored in two parts: all entries of one principal in one collection then lie together in
// the index by principal, in the order they came, so that adding one changes no random page.
struct Uri {
  std::string_view scope;  // with its '/'
  std::string_view name;
};

Uri split(std::string_view uri) {
  std::size_t slash = uri.rfind('/');
  std::size_t n = slash == std::string_view::npos ? 0 : slash + 1;
  return {uri.substr(0, n), uri.substr(n)};
}

std::string join(std::string_view scope, std::string_view name) {
  std::string uri(scope);
  return uri += name;
}

// What the scope of every URI that matches `pattern`, or is below one that does, starts with.
std::string scopePrefix(std::string_view pattern) {
  return std::string(split(globPrefix(pattern)).scope);
}

}  // namespace

Result<std::vector<std::string>> SqliteStore::userPrincipals(std::string_view user) {
  std::vector<std::string> out;
  std::size_t own = 0;
  for (std::string_view who : {user, kAuthenticated}) {
    Cursor c(connection_, Sql::kGroupsOf);
    c.text(1, who);
    for (;;) {
      auto row = c.step();
      if (!row.ok()) return failed(row.error());
      if (!*row) break;
      auto end = out.begin() + static_cast<std::ptrdiff_t>(own);
      if (std::find(out.begin(), end, c.textAt(0)) == end) out.emplace_back(c.textAt(0));
    }
    if (user == kAuthenticated) break;
    own = out.size();
  }
  return out;
}

Result<void> SqliteStore::addUserPrincipal(std::string_view user, std::string_view principal) {
  GODWIT_TRY(touch());
  Cursor c(connection_, Sql::kGroupAdd);
  c.text(1, user).text(2, principal);
  GODWIT_TRY(run(c));
  return {};
}

Result<void> SqliteStore::removeUserPrincipal(std::string_view user, std::string_view principal) {
  GODWIT_TRY(touch());
  Cursor c(connection_, Sql::kGroupRemove);
  c.text(1, user).text(2, principal);
  GODWIT_TRY(run(c));
  return {};
}

Result<std::vector<std::string>> SqliteStore::matchingTexts(std::string_view pattern, Sql from,
                                                            Sql range) {
  if (!isGlob(pattern)) return std::vector<std::string>{std::string(pattern)};
  std::string prefix(globPrefix(pattern));
  std::string end = prefixEnd(prefix);
  Cursor c(connection_, end.empty() ? from : range);
  c.text(1, prefix);
  if (!end.empty()) c.text(2, end);
  std::vector<std::string> out;
  for (;;) {
    auto row = c.step();
    if (!row.ok()) return failed(row.error());
    if (!*row) return out;
    if (globMatches(pattern, c.textAt(0))) out.emplace_back(c.textAt(0));
  }
}

Result<void> SqliteStore::removePrincipal(std::string_view pattern) {
  GODWIT_TRY(touch());
  auto gone = matchingTexts(pattern, Sql::kGroupPrincipalsFrom, Sql::kGroupPrincipalsRange);
  if (!gone.ok()) return gone.error();
  for (const std::string& principal : *gone) {
    Cursor c(connection_, Sql::kGroupDropPrincipal);
    c.text(1, principal);
    GODWIT_TRY(run(c));
  }
  return {};
}

Result<std::vector<Ace>> SqliteStore::aces(const std::vector<std::string>& uris) {
  std::vector<Ace> out;
  for (const std::string& uri : uris) {
    Cursor c(connection_, Sql::kAcesOf);
    Uri parts = split(uri);
    c.text(1, parts.scope).text(2, parts.name);
    for (;;) {
      auto row = c.step();
      if (!row.ok()) return failed(row.error());
      if (!*row) break;
      Ace& ace = out.emplace_back();
      ace.uri = uri;
      ace.permission = c.textAt(0);
      ace.principal = c.textAt(1);
    }
  }
  return out;
}

Result<void> SqliteStore::replaceAces(std::string_view uri, const Permissions& permissions) {
  GODWIT_TRY(touch());
  Uri parts = split(uri);
  for (const auto& [permission, principals] : permissions) {
    {
      Cursor c(connection_, Sql::kAcesClear);
      c.text(1, parts.scope).text(2, parts.name).text(3, permission);
      GODWIT_TRY(run(c));
    }
    for (const std::string& principal : principals) {
      Cursor c(connection_, Sql::kAceAdd);
      c.text(1, parts.scope).text(2, parts.name).text(3, permission).text(4, principal);
      GODWIT_TRY(run(c));
    }
  }
  return {};
}

Result<void> SqliteStore::addAce(const Ace& ace) {
  GODWIT_TRY(touch());
  Uri parts = split(ace.uri);
  Cursor c(connection_, Sql::kAceAdd);
  c.text(1, parts.scope).text(2, parts.name).text(3, ace.permission).text(4, ace.principal);
  GODWIT_TRY(run(c));
  return {};
}

Result<void> SqliteStore::removeAce(const Ace& ace) {
  GODWIT_TRY(touch());
  Uri parts = split(ace.uri);
  Cursor c(connection_, Sql::kAceRemove);
  c.text(1, parts.scope).text(2, parts.name).text(3, ace.permission).text(4, ace.principal);
  GODWIT_TRY(run(c));
  return {};
}

Result<void> SqliteStore::removeAces(const std::vector<std::string>& uri_patterns) {
  GODWIT_TRY(touch());
  for (const std::string& pattern : uri_patterns) {
    if (!isGlob(pattern)) {
      Uri parts = split(pattern);
      Cursor c(connection_, Sql::kAcesDropUri);
      c.text(1, parts.scope).text(2, parts.name);
      GODWIT_TRY(run(c));
      continue;
    }
    std::vector<std::int64_t> gone;
    {
      std::string prefix = scopePrefix(pattern);
      std::string end = prefixEnd(prefix);
      Cursor c(connection_, end.empty() ? Sql::kAcesFrom : Sql::kAcesRange);
      c.text(1, prefix);
      if (!end.empty()) c.text(2, end);
      for (;;) {
        auto row = c.step();
        if (!row.ok()) return failed(row.error());
        if (!*row) break;
        if (globMatches(pattern, join(c.textAt(1), c.textAt(2)))) gone.push_back(c.integerAt(0));
      }
    }
    for (std::int64_t n : gone) {
      Cursor c(connection_, Sql::kAceDelete);
      c.integer(1, n);
      GODWIT_TRY(run(c));
    }
  }
  return {};
}

Result<std::vector<Ace>> SqliteStore::accessible(const std::vector<std::string>& principals,
                                                 const std::vector<Session::Bound>& bound,
                                                 bool with_children) {
  struct Less {
    bool operator()(const Ace& a, const Ace& b) const {
      return std::tie(a.uri, a.permission, a.principal) <
             std::tie(b.uri, b.permission, b.principal);
    }
  };
  std::set<Ace, Less> found;
  auto collect = [&](Cursor& c, std::string_view principal,
                     const Session::Bound* b) -> Result<void> {
    for (;;) {
      auto row = c.step();
      if (!row.ok()) return failed(row.error());
      if (!*row) return {};
      std::string uri = join(c.textAt(0), c.textAt(1));
      if (b) {
        if (c.textAt(2) != b->permission) continue;
        bool hit = with_children
                       ? globMatches(b->uri_pattern, uri) || globMatches(b->uri_pattern + "/*", uri)
                       : globMatches(b->uri_pattern, uri, Star::kStopsAtSlash);
        if (!hit) continue;
      }
      Ace ace;
      ace.uri = std::move(uri);
      ace.permission = c.textAt(2);
      ace.principal = principal;
      found.insert(std::move(ace));
    }
  };
  for (const std::string& principal : principals) {
    if (bound.empty()) {
      Cursor c(connection_, Sql::kAccessible);
      GODWIT_TRY(collect(c.text(1, principal), principal, nullptr));
    }
    for (const Session::Bound& b : bound) {
      std::string prefix = scopePrefix(b.uri_pattern);
      std::string end = prefixEnd(prefix);
      Cursor c(connection_, end.empty() ? Sql::kAccessibleFrom : Sql::kAccessibleRange);
      c.text(1, principal).text(2, prefix);
      if (!end.empty()) c.text(3, end);
      GODWIT_TRY(collect(c, principal, &b));
    }
  }
  return std::vector<Ace>(found.begin(), found.end());
}

}  // namespace godwit::store::sqlite
