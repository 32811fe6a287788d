#include "store/postgresql/sql.h"

#include <array>

namespace godwit::store::postgresql::sql {

namespace {

std::string parameter(int n) { return "$" + std::to_string(n); }

std::string makeLoad(LoadShape s) {
  std::string out;
  int n = 1;
  auto next = [&](const char* select) {
    if (!out.empty()) out += " UNION ALL ";
    out += select;
  };
  if (s.groups) {
    next(
        "SELECT 'g'::text, principal, NULL::text, NULL::text, NULL::jsonb, NULL::timestamp"
        " FROM user_principals WHERE user_id IN (");
    out += parameter(n++) + ", 'system.Authenticated')";
  }
  if (s.aces) {
    next(
        "SELECT 'a'::text, object_id, permission, principal, NULL::jsonb, NULL::timestamp"
        " FROM access_control_entries WHERE object_id = ANY(");
    out += parameter(n++) + "::text[])";
  }
  if (s.object) {
    next(
        "SELECT 'o'::text, NULL::text, NULL::text, NULL::text, data, last_modified"
        " FROM objects WHERE id = ");
    out += parameter(n) + " AND parent_id = " + parameter(n + 1) +
           " AND resource_name = " + parameter(n + 2) + " AND NOT deleted";
  }
  return out;
}

std::string millis(const std::string& p) {
  return "(TIMESTAMP 'epoch' + " + p + "::bigint * INTERVAL '1 millisecond')";
}

std::string micros(const std::string& p) {
  return "(TIMESTAMP 'epoch' + " + p + "::bigint * INTERVAL '1 microsecond')";
}

// The timestamp a write asks for, or NULL to let the trigger choose: Session's rules. Runs under
// the list's lock.
std::string stamp(const std::string& requested) {
  return "(SELECT CASE WHEN s.asked <= s.mine THEN NULL"
         " WHEN s.asked = s.list THEN s.asked + INTERVAL '1 millisecond'"
         " WHEN s.list IS NULL OR s.asked > s.list THEN s.asked"
         " WHEN EXISTS (SELECT 1 FROM objects t WHERE t.parent_id = $2 AND t.resource_name = $3"
         " AND t.last_modified = s.asked) THEN NULL"
         " ELSE s.asked END FROM (SELECT " +
         millis(requested) +
         " AS asked,"
         " (SELECT last_modified FROM objects WHERE id = $1 AND parent_id = $2"
         " AND resource_name = $3) AS mine,"
         " GREATEST((SELECT last_modified FROM objects WHERE parent_id = $2 AND resource_name = $3"
         " ORDER BY last_modified DESC LIMIT 1),"
         " (SELECT last_modified FROM timestamps WHERE parent_id = $2 AND resource_name = $3))"
         " AS list) s)";
}

std::string makeWrite(Write kind, bool at) {
  std::string when = at ? stamp("$5") : "NULL::timestamp";
  if (kind == Write::kExpected) {
    return "UPDATE objects SET data = $4::jsonb, last_modified = " + when +
           " WHERE id = $1 AND parent_id = $2 AND resource_name = $3 AND NOT deleted"
           " AND last_modified = " +
           micros(at ? "$6" : "$5") + " RETURNING last_modified, txid_current()";
  }
  std::string out =
      "INSERT INTO objects AS o (id, parent_id, resource_name, data, last_modified, deleted)"
      " VALUES ($1, $2, $3, $4::jsonb, " +
      when +
      ", FALSE) ON CONFLICT (id, parent_id, resource_name) DO UPDATE"
      " SET data = EXCLUDED.data, deleted = FALSE, last_modified = EXCLUDED.last_modified";
  if (kind == Write::kCreate) out += " WHERE o.deleted";
  return out + " RETURNING o.last_modified, txid_current()";
}

std::string makeRemove(bool expected, bool at) {
  std::string out =
      "UPDATE objects SET deleted = TRUE, data = '{\"deleted\": true}'::jsonb, last_modified = ";
  out += at ? stamp("$4") : "NULL::timestamp";
  out += " WHERE id = $1 AND parent_id = $2 AND resource_name = $3 AND NOT deleted";
  if (expected) out += " AND last_modified = " + micros(at ? "$5" : "$4");
  return out + " RETURNING last_modified, txid_current()";
}

}  // namespace

std::string_view load(LoadShape shape) {
  static const auto kAll = [] {
    std::array<std::string, 8> all;
    for (unsigned i = 0; i < all.size(); ++i) {
      all[i] = makeLoad({(i & 1) != 0, (i & 2) != 0, (i & 4) != 0});
    }
    return all;
  }();
  return kAll[(shape.groups ? 1u : 0u) | (shape.aces ? 2u : 0u) | (shape.object ? 4u : 0u)];
}

std::string_view write(Write kind, bool at) {
  static const auto kAll = [] {
    std::array<std::string, 6> all;
    for (unsigned i = 0; i < all.size(); ++i) {
      all[i] = makeWrite(static_cast<Write>(i / 2), i % 2 == 1);
    }
    return all;
  }();
  return kAll[static_cast<unsigned>(kind) * 2 + (at ? 1 : 0)];
}

std::string_view remove(bool expected, bool at) {
  static const std::array<std::string, 4> kAll = {makeRemove(false, false), makeRemove(false, true),
                                                  makeRemove(true, false), makeRemove(true, true)};
  return kAll[(expected ? 2u : 0u) | (at ? 1u : 0u)];
}

}  // namespace godwit::store::postgresql::sql
