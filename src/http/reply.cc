#include "godwit/http/reply.h"

#include <utility>

#include "base/unique_fd.h"
#include "http/connection.h"
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

BodyWriter Reply::stream(std::optional<std::uint64_t> length) {
  detail::Exchange* e = std::exchange(exchange_, nullptr);
  e->length = length;
  auto state = std::make_shared<detail::BodyState>(e);
  ++e->refs;  // one for the body, one for answered() to give back
  if (e->connection) {
    e->stream = state;
    e->shard.answered(e);
  } else {
    e->shard.answered(e);
    state->detach();
  }
  return BodyWriter(std::move(state));
}

void Reply::sendFile(int fd, std::uint64_t offset, std::uint64_t length) {
  exchange_->file = std::make_shared<UniqueFd>(UniqueFd(fd));
  exchange_->file_offset = offset;
  exchange_->length = length;
  send();
}

void Reply::onBody(BodyReader reader) { exchange_->reader = std::move(reader); }
void Reply::setRoute(std::string_view name, bool measured) {
  exchange_->route = name;
  exchange_->measured = measured;
}
void Reply::pauseBody() { exchange_->paused = true; }
void Reply::resumeBody() {
  if (!std::exchange(exchange_->paused, false)) return;
  if (exchange_->connection) exchange_->connection->resumed();
}

Deadline Reply::deadline() const {
  return Deadline::at(
      Deadline::Clock::time_point(std::chrono::milliseconds(exchange_->deadline_ms)));
}

bool Reply::cancelled() const { return exchange_->cancelled.load(std::memory_order_acquire); }

Reactor& Reply::reactor() const { return exchange_->shard.loop(); }

}  // namespace godwit::http
