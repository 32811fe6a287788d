#pragma once

#include <string>

#include "godwit/http/server.h"
#include "kinto/settings.h"

namespace godwit::kinto {

// Threads, limits and deadlines of the HTTP server.
http::Server::Options serverOptionsFrom(const Settings& settings);
// Where to listen, for http::Server::listen().
std::string listenUrl(const Settings& settings);

}  // namespace godwit::kinto
