#pragma once

#include <memory>
#include <string>

#include "godwit/result.h"
#include "kinto/settings.h"
#include "store/backend.h"

namespace godwit::kinto {

// The backends that the settings name, opened.
struct Stores {
  std::unique_ptr<store::Backend> backend;
  std::unique_ptr<store::Cache> cache;
  std::string place;  // for people: a file, a URL without password, "memory"
};

// Blocks; not on a loop thread. Errors name the setting or the file and the reason.
Result<Stores> openStores(const Settings& settings);

// --data-dir, $STATE_DIRECTORY, $XDG_STATE_HOME/godwit or ~/.local/state/godwit; made with mode
// 0700 when missing.
Result<std::string> dataFolder(const Settings& settings);
// The same without making it.
Result<std::string> dataFolderPath(const Settings& settings);
// Where objects are kept, for tools that open it themselves: "sqlite:/path" (the file need not be
// there) or "postgresql://...". kUnsupported: memory, which nobody else can open.
Result<std::string> storageUrl(const Settings& settings);

}  // namespace godwit::kinto
