#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinto/call.h"

// What logins by way of another server have in common. All functions: loop thread, no state.
namespace godwit::kinto {

// The parameter of the query string, the last of several; nullopt when absent or empty.
std::optional<std::string> queryValue(const Call& call, std::string_view name);
// The same, noting a problem when there is none.
std::string requiredValue(const Call& call, std::string_view name, std::vector<Problem>& problems);
// The same for an address the browser is sent to: absolute, at most 2048 bytes, nothing but visible
// characters.
std::string requiredUrl(const Call& call, std::string_view name, std::vector<Problem>& problems);
// "example.com:8080" of "https://example.com:8080/x"; "" when there is none.
std::string_view authorityOf(std::string_view url);

// The states of logins under way are JSON strings in the cache, as the predecessor keeps them.
std::string cachedText(std::string_view text);
std::string textOfCached(std::string_view cached);  // "" when it is no JSON string

// Answers with the way to `url`; nobody keeps the answer.
void sendBrowserTo(Call& call, int status, std::string_view url);

}  // namespace godwit::kinto
