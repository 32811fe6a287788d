#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "godwit/result.h"
#include "supervise/options.h"

namespace godwit::supervise {

// Reads the command line (without argv[0]) and the --config file it names. Errors are one line for
// people and mean exit 64.
Result<Settings> readSettings(const std::vector<std::string>& args);

// The same with the file's text given, for tests. `config_text` is used in place of the file.
Result<Settings> readSettings(const std::vector<std::string>& args, std::string_view config_text);

// Every setting that differs from its default, as a config file would hold it.
std::string printSettings(const Settings& settings);

// What changed between two settings of a service that only a new instance can take: "" if nothing.
std::string unchangeable(const ServiceOptions& now, const ServiceOptions& wanted);

// "gunicorn-8000", "worker-3fa2": stable for the same command line.
std::string defaultName(const Settings& settings);

}  // namespace godwit::supervise
