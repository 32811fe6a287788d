#include <algorithm>

#include "store/glob.h"
#include "store/memory/memory_store.h"

// Groups and access control entries of MemoryStore.
namespace godwit::store {
namespace {

bool boundMatches(const Session::Bound& b, std::string_view uri, std::string_view permission,
                  bool with_children) {
  if (b.permission != permission) return false;
  if (!with_children) return globMatches(b.uri_pattern, uri, Star::kStopsAtSlash);
  return globMatches(b.uri_pattern, uri) || globMatches(b.uri_pattern + "/*", uri);
}

}  // namespace

// --- Groups

void MemoryStore::setGroups(const std::string& user, Principals principals) {
  auto it = groups_.find(user);
  undo_.emplace_back([this, user, old = it == groups_.end() ? Principals() : it->second] {
    if (old.empty()) {
      groups_.erase(user);
    } else {
      groups_[user] = old;
    }
  });
  if (principals.empty()) {
    groups_.erase(user);
  } else {
    groups_[user] = std::move(principals);
  }
}

Result<std::vector<std::string>> MemoryStore::userPrincipals(std::string_view user) {
  std::vector<std::string> out;
  auto own = groups_.find(user);
  if (own != groups_.end()) out.assign(own->second.begin(), own->second.end());
  auto all = groups_.find(kAuthenticated);
  if (all == groups_.end() || all == own) return out;
  for (const std::string& principal : all->second) {
    if (own == groups_.end() || !own->second.contains(principal)) out.push_back(principal);
  }
  return out;
}

Result<void> MemoryStore::addUserPrincipal(std::string_view user, std::string_view principal) {
  auto it = groups_.find(user);
  Principals all = it == groups_.end() ? Principals() : it->second;
  if (all.emplace(principal).second) setGroups(std::string(user), std::move(all));
  return {};
}

Result<void> MemoryStore::removeUserPrincipal(std::string_view user, std::string_view principal) {
  auto it = groups_.find(user);
  if (it == groups_.end()) return {};
  Principals rest = it->second;
  if (rest.erase(std::string(principal))) setGroups(std::string(user), std::move(rest));
  return {};
}

Result<void> MemoryStore::removePrincipal(std::string_view pattern) {
  std::vector<std::pair<std::string, Principals>> changed;
  for (const auto& [user, principals] : groups_) {
    Principals rest = principals;
    if (std::erase_if(rest, [&](const auto& p) { return globMatches(pattern, p); })) {
      changed.emplace_back(user, std::move(rest));
    }
  }
  for (auto& [user, rest] : changed) setGroups(user, std::move(rest));
  return {};
}

// --- Access control entries

void MemoryStore::setAce(const AceKey& key, Principals principals) {
  auto it = aces_.find(key);
  undo_.emplace_back([this, key, old = it == aces_.end() ? Principals() : it->second] {
    if (old.empty()) {
      aces_.erase(key);
    } else {
      aces_[key] = old;
    }
  });
  if (principals.empty()) {
    aces_.erase(key);
  } else {
    aces_[key] = std::move(principals);
  }
}

Result<std::vector<Ace>> MemoryStore::aces(const std::vector<std::string>& uris) {
  std::vector<Ace> out;
  for (const std::string& uri : uris) {
    for (auto it = aces_.lower_bound({uri, ""}); it != aces_.end() && it->first.first == uri;
         ++it) {
      for (const std::string& principal : it->second) {
        out.push_back({uri, it->first.second, principal});
      }
    }
  }
  return out;
}

Result<void> MemoryStore::replaceAces(std::string_view uri, const Permissions& permissions) {
  for (const auto& [permission, principals] : permissions) {
    setAce({std::string(uri), permission}, Principals(principals.begin(), principals.end()));
  }
  return {};
}

Result<void> MemoryStore::addAce(const Ace& ace) {
  AceKey key{ace.uri, ace.permission};
  auto it = aces_.find(key);
  Principals all = it == aces_.end() ? Principals() : it->second;
  if (all.insert(ace.principal).second) setAce(key, std::move(all));
  return {};
}

Result<void> MemoryStore::removeAce(const Ace& ace) {
  AceKey key{ace.uri, ace.permission};
  auto it = aces_.find(key);
  if (it == aces_.end()) return {};
  Principals rest = it->second;
  if (rest.erase(ace.principal)) setAce(key, std::move(rest));
  return {};
}

Result<void> MemoryStore::removeAces(const std::vector<std::string>& uri_patterns) {
  for (const std::string& pattern : uri_patterns) {
    std::string prefix(globPrefix(pattern));
    std::vector<AceKey> gone;
    for (auto it = aces_.lower_bound({prefix, ""});
         it != aces_.end() && it->first.first.starts_with(prefix); ++it) {
      if (globMatches(pattern, it->first.first)) gone.push_back(it->first);
    }
    for (const AceKey& key : gone) setAce(key, {});
  }
  return {};
}

Result<std::vector<Ace>> MemoryStore::accessible(const std::vector<std::string>& principals,
                                                 const std::vector<Session::Bound>& bound,
                                                 bool with_children) {
  std::set<std::string> wanted(principals.begin(), principals.end());
  std::vector<Ace> out;
  for (const auto& [key, holders] : aces_) {
    if (!bound.empty() && std::none_of(bound.begin(), bound.end(), [&, &k = key](const auto& b) {
          return boundMatches(b, k.first, k.second, with_children);
        })) {
      continue;
    }
    for (const std::string& principal : holders) {
      if (wanted.contains(principal)) out.push_back({key.first, key.second, principal});
    }
  }
  return out;
}

}  // namespace godwit::store
