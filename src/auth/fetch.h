#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/reactor.h"
#include "godwit/result.h"

namespace godwit::auth {

// One request to another server.
struct FetchRequest {
  std::string method = "GET";
  std::string url;                   // http or https
  std::vector<std::string> headers;  // "Name: value"
  std::string body;
  std::chrono::milliseconds timeout{5000};       // for everything, connecting included
  std::size_t max_response_bytes = 1024 * 1024;  // more is an error
  FetchRequest() = default;
};

struct FetchResponse {
  long status = 0;
  std::string body;
  std::string content_type;
  // Names in lower case; those that fit into 16 KiB.
  std::vector<std::pair<std::string, std::string>> headers;

  // "" when absent.
  [[nodiscard]] std::string_view header(std::string_view lower_name) const;
};

// Outgoing HTTP on a thread of its own: token checks, webhooks, error reports. Redirects are not
// followed, certificates are checked against the system's store. Any thread.
class Fetcher {
 public:
  // At most `bound` requests wait or run at a time.
  explicit Fetcher(std::size_t bound = 256);
  ~Fetcher();  // what is under way ends with kClosed
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  // `done` is called once, on `home`'s thread. Any HTTP status is an answer; errors are kTimeout,
  // kUnavailable (cannot connect, TLS), kLimit (queue full or answer too large), kClosed.
  using Done = std::function<void(Result<FetchResponse>)>;
  void fetch(Reactor& home, FetchRequest request, Done done);

  // The same for threads without a loop, at start: waits for the answer.
  Result<FetchResponse> fetchNow(FetchRequest request);

  // Ends what is under way with kClosed, and whatever is asked later. Does not wait.
  void close();

  [[nodiscard]] std::uint64_t refused() const;  // for lack of room

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace godwit::auth
