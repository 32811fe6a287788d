#pragma once

#include <functional>
#include <memory>
#include <string>

#include "godwit/http/reply.h"
#include "godwit/http/request.h"
#include "godwit/http/server.h"
#include "godwit/http/workers.h"
#include "json/value.h"
#include "kinto/measured_backend.h"

namespace godwit::kinto {

// What answers on the admin listener: GET /__status__ (a page that loads nothing from elsewhere)
// and GET /__status__.json. Loop threads.
class Admin {
 public:
  struct Parts {
    http::Server& server;
    const ServerMetrics& metrics;
    const MeasuredBackend& backend;
    std::string version;
    std::string place;  // of the data, for people
    // Adds members about the supervisor and the agent; may block for a moment. Empty: none.
    std::function<void(json::Object&)> surroundings;
  };

  explicit Admin(Parts parts);
  void handle(const http::Request& request, http::Reply reply);
  // What this process knows of itself. Any thread.
  [[nodiscard]] json::Value own() const;

 private:
  Parts parts_;
  std::string page_, policy_;  // set once
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  // One thread: asking the supervisor and the agent waits for them.
  http::Workers workers_;
};

// The page, and the Content-Security-Policy that allows its own script and style by their hashes.
std::string statusPage();
std::string statusPagePolicy();

}  // namespace godwit::kinto
