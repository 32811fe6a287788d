#pragma once

#include <optional>
#include <string>
#include <vector>

#include "godwit/deadline.h"
#include "godwit/result.h"

namespace godwit::store::postgresql {

// Which of Kinto's schemas a database has. nullopt: none.
struct SchemaState {
  std::optional<int> storage;
  std::optional<int> permission;
  bool cache = false;
  bool utc = true;  // the database's own time zone; Kinto needs UTC, Godwit does not care
};

struct MigrateRequest {
  std::string url;
  bool storage = false;
  bool permission = false;
  bool cache = false;
  bool dry_run = false;
};

struct MigrateReport {
  std::vector<std::string> steps;     // "create storage schema version 26", in order
  std::vector<std::string> warnings;  // nothing that stops it
  std::string sql;                    // what was run, or would be
};

// Creates what is missing and upgrades what is old, all in one transaction, alone (others wait).
// Errors: kUnsupported for a version this program does not know or that is too old to start from,
// kUnavailable when the database cannot be reached. Blocks; not for a loop thread.
Result<MigrateReport> migrate(const MigrateRequest& request, Deadline deadline);

// What is there, without changing it. Blocks; not for a loop thread.
Result<SchemaState> inspect(const std::string& url, Deadline deadline);

// Does this state serve? kUnsupported says what to do ("godwit migrate").
Result<void> checkServable(const SchemaState& state, bool storage, bool permission, bool cache);

}  // namespace godwit::store::postgresql
