#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/context.h"
#include "ops/api_sink.h"
#include "ops/source.h"

namespace godwit::cli {

// What --from, --to and --auth name.
struct Place {
  std::string url;   // "http://...", "unix:...", "sqlite:..." or "postgresql://..."
  std::string auth;  // of servers
  [[nodiscard]] bool isServer() const { return ops::isHttpUrl(url); }
};

// "" is the store of the settings; a plain path an SQLite file. Asks for a password that is
// missing.
Result<Place> placeOf(const Context& context, const kinto::Settings& settings,
                      const std::string& text, const std::string& auth);
std::string shown(const Place& place);  // without password

// The folder of the configured SQLite file, for those who are about to write there.
Result<void> makeFolder(const kinto::Settings& settings, const std::string& text);

Result<std::unique_ptr<ops::Source>> openSource(const Place& place);
Result<std::unique_ptr<ops::Sink>> openSink(const Place& place);

}  // namespace godwit::cli
