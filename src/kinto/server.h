#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "godwit/result.h"
#include "json/value.h"
#include "kinto/settings.h"

// What `godwit` does with a store, for the command line. Blocking; from the main thread.
namespace godwit::kinto {

struct ServeOptions {
  std::string version;  // of the program, for the hello view
  // For the status page: adds what the supervisor and the agent say. May block for a moment; any
  // thread.
  std::function<void(json::Object&)> surroundings;
  ServeOptions() = default;
  explicit ServeOptions(std::string v) : version(std::move(v)) {}
};

// Serves until drained by SIGTERM or SIGINT. Logging is configured already. Says on the log when it
// is ready. kInvalid for settings that contradict each other, other errors when it cannot run.
Result<void> serve(const Settings& settings, const ServeOptions& options);

// What serve() would say of the settings before it opens a socket, a file or a store.
Result<void> rehearse(const Settings& settings);

// Creates or upgrades the schemas; says what it did (or would do), a line each.
Result<std::vector<std::string>> migrate(const Settings& settings, bool dry_run);
Result<void> flushCache(const Settings& settings);
// Creates or replaces an account whose name has been checked.
Result<void> createUser(const Settings& settings, const std::string& name,
                        const std::string& password);
// Keeps the newest `keep` tombstones of each list of these resources. Returns how many went.
Result<std::uint64_t> purgeDeleted(const Settings& settings,
                                   const std::vector<std::string>& resources, std::uint64_t keep);
// Counts anew what each bucket and collection holds and stores it for the quotas plugin, one
// transaction per bucket; a server may run meanwhile. `dry_run` stores nothing. Returns a line per
// collection and bucket.
Result<std::vector<std::string>> rebuildQuotas(const Settings& settings, bool dry_run);

}  // namespace godwit::kinto
