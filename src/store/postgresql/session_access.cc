// PgSession: groups and access control entries.
#include <algorithm>

#include "store/glob.h"
#include "store/postgresql/session.h"

namespace godwit::store::postgresql {

namespace {

std::vector<Ace> acesOf(const Reply& reply) {
  std::vector<Ace> out;
  out.reserve(static_cast<std::size_t>(reply.rows()));
  for (int i = 0; i < reply.rows(); ++i) {
    Ace& ace = out.emplace_back();
    ace.uri = reply.text(i, 0);
    ace.permission = reply.text(i, 1);
    ace.principal = reply.text(i, 2);
  }
  return out;
}

}  // namespace

Task<Result<std::vector<std::string>>> PgSession::userPrincipals(std::string_view user) {
  if (auto e = blocked(false)) co_return std::move(*e);
  Params p;
  p.text(user);
  auto reply = co_await ask(sql::kGroupsOf, std::move(p), Where::kLane);
  if (!reply.ok()) co_return std::move(reply).error();
  std::vector<std::string> out;
  for (int i = 0; i < reply->rows(); ++i) out.emplace_back(reply->text(i, 0));
  co_return out;
}

Task<Result<void>> PgSession::addUserPrincipal(std::string_view user, std::string_view principal) {
  if (auto e = blocked(true)) co_return std::move(*e);
  loaded_.reset();
  Params p;
  p.ownText(std::string(user)).ownText(std::string(principal));
  auto sent = co_await send(sql::kAddGroup, std::move(p));
  co_return sent;
}

Task<Result<void>> PgSession::removeUserPrincipal(std::string_view user,
                                                  std::string_view principal) {
  if (auto e = blocked(true)) co_return std::move(*e);
  loaded_.reset();
  Params p;
  p.ownText(std::string(user)).ownText(std::string(principal));
  auto sent = co_await send(sql::kRemoveGroup, std::move(p));
  co_return sent;
}

Task<Result<void>> PgSession::removePrincipal(std::string_view principal_pattern) {
  if (auto e = blocked(true)) co_return std::move(*e);
  loaded_.reset();
  Params p;
  p.ownText(likePattern(principal_pattern));
  auto sent = co_await send(sql::kRemovePrincipal, std::move(p));
  co_return sent;
}

Task<Result<std::vector<Ace>>> PgSession::aces(const std::vector<std::string>& uris) {
  if (auto e = blocked(false)) co_return std::move(*e);
  if (uris.empty()) co_return std::vector<Ace>();
  Params p;
  p.array(uris);
  auto reply = co_await ask(sql::kAces, std::move(p), Where::kLane);
  if (!reply.ok()) co_return std::move(reply).error();
  co_return acesOf(*reply);
}

Task<Result<void>> PgSession::replaceAces(std::string_view uri, const Permissions& permissions) {
  if (auto e = blocked(true)) co_return std::move(*e);
  if (permissions.empty()) co_return Result<void>();
  touch(uri);
  std::vector<std::string> named;
  std::vector<std::string> kinds;
  std::vector<std::string> principals;
  for (const auto& [permission, holders] : permissions) {
    named.push_back(permission);
    for (const auto& holder : holders) {
      kinds.push_back(permission);
      principals.push_back(holder);
    }
  }
  Params p;
  p.ownText(std::string(uri)).array(named).array(kinds).array(principals);
  auto sent = co_await send(sql::kReplaceAces, std::move(p));
  co_return sent;
}

Task<Result<void>> PgSession::addAce(const Ace& ace) {
  if (auto e = blocked(true)) co_return std::move(*e);
  touch(ace.uri);
  Params p;
  p.ownText(ace.uri).ownText(ace.permission).ownText(ace.principal);
  auto sent = co_await send(sql::kAddAce, std::move(p));
  co_return sent;
}

Task<Result<void>> PgSession::removeAce(const Ace& ace) {
  if (auto e = blocked(true)) co_return std::move(*e);
  touch(ace.uri);
  Params p;
  p.ownText(ace.uri).ownText(ace.permission).ownText(ace.principal);
  auto sent = co_await send(sql::kRemoveAce, std::move(p));
  co_return sent;
}

Task<Result<void>> PgSession::removeAces(const std::vector<std::string>& uri_patterns) {
  if (auto e = blocked(true)) co_return std::move(*e);
  for (const auto& uri : uri_patterns) touch(uri);
  std::vector<std::string> exact;
  for (const auto& pattern : uri_patterns) {
    if (!isGlob(pattern)) {
      exact.push_back(pattern);
      continue;
    }
    std::string prefix(globPrefix(pattern));
    std::string end = rangeEnd(prefix);
    Params p;
    p.ownText(likePattern(pattern)).ownText(std::move(prefix)).ownText(std::move(end));
    auto sent = co_await send(sql::kRemoveAcesLike, std::move(p));
    if (!sent.ok()) co_return sent;
  }
  if (exact.empty()) co_return Result<void>();
  Params p;
  p.array(exact);
  auto sent = co_await send(sql::kRemoveAces, std::move(p));
  co_return sent;
}

Task<Result<std::vector<Ace>>> PgSession::accessible(const std::vector<std::string>& principals,
                                                     const std::vector<Bound>& bound,
                                                     bool with_children) {
  if (auto e = blocked(false)) co_return std::move(*e);
  if (principals.empty()) co_return std::vector<Ace>();
  Params p;
  p.array(principals);
  std::string_view statement = sql::kAccessible;
  if (!bound.empty()) {
    std::vector<std::string> patterns;
    std::vector<std::string> permissions;
    std::vector<std::string> slashes;
    auto add = [&](const std::string& pattern, const Bound& b, bool any_depth) {
      patterns.push_back(likePattern(pattern));
      permissions.push_back(b.permission);
      // A star that stops at slashes matches exactly what has as many of them as its pattern.
      auto n = std::count(pattern.begin(), pattern.end(), '/');
      slashes.push_back(any_depth ? "-1" : std::to_string(n));
    };
    for (const auto& b : bound) {
      add(b.uri_pattern, b, with_children);
      if (with_children) add(b.uri_pattern + "/*", b, true);
    }
    p.array(patterns).array(permissions).array(slashes);
    statement = sql::kAccessibleWithin;
  }
  auto reply = co_await ask(statement, std::move(p), Where::kOwn);
  if (!reply.ok()) co_return std::move(reply).error();
  co_return acesOf(*reply);
}

}  // namespace godwit::store::postgresql
