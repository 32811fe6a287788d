#include "godwit/http/reply.h"

#include <utility>

#include "http/exchange.h"
#include "http/shard.h"

namespace godwit::http {

Reply::Reply(detail::Exchange* exchange) : exchange_(exchange) {}
Reply::Reply(Reply&& other) noexcept : exchange_(std::exchange(other.exchange_, nullptr)) {}
Reply& Reply::operator=(Reply&& other) noexcept {
  if (this != &other) {
    if (exchange_) detail::drop(exchange_);
    exchange_ = std::exchange(other.exchange_, nullptr);
  }
  return *this;
}
Reply::~Reply() {
  if (exchange_) detail::drop(exchange_);
}

Response& Reply::response() { return exchange_->response; }

void Reply::send() { detail::answer(std::exchange(exchange_, nullptr)); }

void Reply::send(int status, std::string_view text) {
  response().text(status, text);
  send();
}

Deadline Reply::deadline() const {
  return Deadline::at(
      Deadline::Clock::time_point(std::chrono::milliseconds(exchange_->deadline_ms)));
}

bool Reply::cancelled() const { return exchange_->cancelled.load(std::memory_order_acquire); }

Reactor& Reply::reactor() const { return exchange_->shard.loop(); }

}  // namespace godwit::http
