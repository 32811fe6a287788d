// Cuts a body into its JSON objects without understanding them: one object, an array of objects, or
// objects one after another (newline-delimited JSON). Pure.
#pragma once

#include <string_view>
#include <vector>

namespace godwit::agent {

// Views into `body`. False: not such a sequence, or more than `limit` objects.
bool splitJsonObjects(std::string_view body, std::size_t limit, std::vector<std::string_view>& out);

}  // namespace godwit::agent
