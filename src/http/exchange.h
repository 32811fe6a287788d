#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/deadline.h"
#include "godwit/http/request.h"
#include "godwit/http/response.h"
#include "http/chunked.h"
#include "http/head.h"

namespace godwit::http {
class Connection;
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

  void reset();
};

// Entry points of Reply, any thread.
void answer(Exchange* exchange);
void drop(Exchange* exchange);

}  // namespace godwit::http::detail
