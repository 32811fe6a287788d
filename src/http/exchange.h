#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/deadline.h"
#include "godwit/http/body.h"
#include "godwit/http/request.h"
#include "godwit/http/response.h"
#include "http/chunked.h"
#include "http/head.h"

namespace godwit {
class UniqueFd;
}

namespace godwit::http {
class Connection;
class Protocol;
class Shard;
}  // namespace godwit::http

namespace godwit::http::detail {

// One request and its response. Owned by its shard's pool; referred to by the connection, while it
// is queued there, and by the Reply. Outlives the connection when a Reply is kept. The request's
// bytes are copied here, so that reading may go on while a handler thinks.
class Exchange {
 public:
  explicit Exchange(Shard& s) : shard(s) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // Set once.
  Shard& shard;

  // Written by the loop thread before the handler runs, then constant until the Reply is gone.
  std::string head;
  std::string body;
  std::vector<Header> headers;
  Request request;
  HeadFacts facts;
  char id[24] = {};
  std::chrono::steady_clock::time_point started{};
  std::int64_t deadline_ms = 0;

  // The Reply's owner until answered, then the loop thread's.
  Response response;

  // Any thread.
  std::atomic<bool> cancelled{false};

  // Loop thread only.
  Connection* connection = nullptr;  // null once the peer is gone or the deadline answered
  Exchange* next = nullptr;          // in the connection's queue, or in the free list
  ChunkedDecoder decoder;
  std::uint64_t sent_at = 0;  // count of the connection's bytes at the end of this response
  std::size_t body_bytes = 0;
  int refs = 0;
  bool dispatched = false;
  bool answered = false;
  bool close = false;  // nothing may follow on this connection
  std::string_view route;
  bool measured = false;

  // A body from elsewhere than response.body.
  std::shared_ptr<UniqueFd> file;
  std::uint64_t file_offset = 0;
  std::optional<std::uint64_t> length;  // of the file or of a stream that knows
  std::shared_ptr<BodyState> stream;
  std::shared_ptr<Protocol> protocol;  // takes the connection over after this response

  // A request body that is handed on as it comes.
  bool streamed = false;
  bool paused = false;
  std::uint64_t max_body = 0;
  Refusal refusal;  // why its body broke off
  BodyReader reader;

  void reset();
};

// A response body in the making. The loop thread owns it but for the atomics.
class BodyState final : public std::enable_shared_from_this<BodyState> {
 public:
  explicit BodyState(Exchange* e);  // takes over one reference
  BodyState(const BodyState&) = delete;
  BodyState& operator=(const BodyState&) = delete;
  ~BodyState();

  // Loop thread only.
  void append(std::string_view bytes);
  void finish(bool aborted);
  // The connection sent what it could; `unsent` bytes of it wait.
  void settle(std::size_t unsent);
  void detach();

  Shard& shard;
  const std::size_t limit;
  std::atomic<std::size_t> posted{0};  // on their way from other threads
  std::atomic<std::size_t> unsent{0};
  std::atomic<bool> closed{false};

  Exchange* exchange;
  std::string pending;
  bool head_written = false;
  bool ended = false;
  bool aborted = false;
  bool was_full = false;
  std::function<void()> on_writable, on_closed, on_drain;
};

// Entry points of Reply, any thread.
void answer(Exchange* exchange);
void drop(Exchange* exchange);

}  // namespace godwit::http::detail
