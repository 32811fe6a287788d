#include "store/postgresql/sql.h"

#include <array>

namespace godwit::store::postgresql::sql {

namespace {

std::string parameter(int n) { return "$" + std::to_string(n); }

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

std::string makeWrite(WriteShape s) {
  using What = WriteShape::What;
  using Time = WriteShape::Time;
  using Aces = WriteShape::Aces;
  bool removes = s.what == What::kRemove || s.what == What::kRemoveExpected;
  bool fresh = s.what == What::kFresh;
  bool inserts = fresh || s.what == What::kCreate || s.what == What::kUpsert;
  int n = 4;
  std::string data = removes ? "'{\"deleted\": true}'::jsonb" : parameter(n++) + "::jsonb";
  std::string when = "NULL::timestamp";
  if (s.time == Time::kRequested) when = stamp(parameter(n++));
  if (s.time == Time::kExact) when = millis(parameter(n++));
  std::string out;
  if (inserts) {
    out =
        "INSERT INTO objects AS o (id, parent_id, resource_name, data, last_modified, deleted)"
        " VALUES ($1, $2, $3, " +
        data + ", " + when + ", FALSE)";
    if (!fresh) {
      out +=
          " ON CONFLICT (id, parent_id, resource_name) DO UPDATE"
          " SET data = EXCLUDED.data, deleted = FALSE, last_modified = EXCLUDED.last_modified";
    }
    if (s.what == What::kCreate) out += " WHERE o.deleted";
  } else {
    out = "UPDATE objects o SET data = " + data + ", last_modified = " + when;
    if (removes) out += ", deleted = TRUE";
    out += " WHERE id = $1 AND parent_id = $2 AND resource_name = $3 AND NOT deleted";
    if (s.what != What::kRemove) out += " AND last_modified = " + micros(parameter(n++));
  }
  bool plain = s.time != Time::kExact && s.aces == Aces::kKeep;
  if (plain) return out + " RETURNING o.last_modified, txid_current()";
  out = "WITH w AS (" + out + " RETURNING o.last_modified)";
  if (s.aces != Aces::kKeep) {
    std::string uri = parameter(n++);
    std::string wanted =
        "unnest(" + parameter(n) + "::text[], " + parameter(n + 1) + "::text[]) AS n(p, q)";
    n += 2;
    if (s.aces == Aces::kReplace) {
      out += ", g AS (DELETE FROM access_control_entries e USING w WHERE e.object_id = " + uri +
             " AND e.permission = ANY(" + parameter(n++) +
             "::text[]) AND (e.permission, e.principal) NOT IN (SELECT p, q FROM " + wanted + "))";
    }
    out += ", a AS (INSERT INTO access_control_entries (object_id, permission, principal) SELECT " +
           uri + "::text, p, q FROM w, " + wanted + (fresh ? ")" : " ON CONFLICT DO NOTHING)");
  }
  if (s.time == Time::kExact) {
    return out + " SELECT 1 / count(*) FROM w WHERE w.last_modified = " + when;
  }
  return out + " SELECT last_modified, txid_current() FROM w";
}

}  // namespace

std::string_view write(WriteShape shape) {
  static const auto kAll = [] {
    std::array<std::string, 54> all;
    for (unsigned i = 0; i < all.size(); ++i) {
      all[i] =
          makeWrite({static_cast<WriteShape::What>(i / 9), static_cast<WriteShape::Time>(i / 3 % 3),
                     static_cast<WriteShape::Aces>(i % 3)});
    }
    return all;
  }();
  return kAll[static_cast<unsigned>(shape.what) * 9 + static_cast<unsigned>(shape.time) * 3 +
              static_cast<unsigned>(shape.aces)];
}

}  // namespace godwit::store::postgresql::sql
