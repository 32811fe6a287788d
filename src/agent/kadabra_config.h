// Kadabra's configuration names, mapped onto ours.
#pragma once

#include <string>
#include <string_view>

#include "godwit/result.h"

namespace godwit::agent {

class Config;

bool isKadabraKey(std::string_view key);
// `value` as in an INI file; dictionaries in JSON or Python notation. Settings that mean nothing to
// this agent are accepted and leave a note. Switches on what a drop-in replacement needs: the lists
// are received from, nothing is added to the metrics.
Result<> applyKadabraSetting(std::string_view key, const std::string& value,
                             const std::string& origin, Config& config);
// A whole file that is one JSON object of such settings.
Result<> readKadabraJson(std::string_view text, const std::string& where, Config& config);

}  // namespace godwit::agent
