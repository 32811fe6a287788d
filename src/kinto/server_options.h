#pragma once

#include <string>

#include "godwit/http/server.h"
#include "kinto/settings.h"

namespace godwit::kinto {

// Threads, limits and deadlines of the HTTP server.
http::Server::Options serverOptionsFrom(const Settings& settings);
// Where to listen, for http::Server::listen().
std::string listenUrl(const Settings& settings);
// The same for the admin listener; "" for none. kInvalid when others could reach it.
Result<std::string> adminUrl(const Settings& settings);
// Reachable from this machine only.
[[nodiscard]] bool isLoopback(std::string_view url);

}  // namespace godwit::kinto
