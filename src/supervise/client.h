#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace godwit::supervise {

// True for the verbs that talk to a running instance: status, reload, ...
bool isClientVerb(std::string_view word);

// Runs one; returns the exit code (exit_code.h, kClient...). `args` begin with the verb.
int runClient(const std::vector<std::string>& args);

}  // namespace godwit::supervise
