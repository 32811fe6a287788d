#pragma once

#include <cstdint>
#include <string_view>

namespace godwit::http {

class Connection;

// What takes a connection over after a 101: from then on all bytes are its own. Loop thread only.
class Protocol {
 public:
  virtual ~Protocol() = default;

  // The response has been written; `link` stays valid until onClosed().
  virtual void onOpen(Connection& link) = 0;
  virtual void onData(std::string_view bytes) = 0;
  // The peer sends no more.
  virtual void onEof() = 0;
  // Everything that was written is with the kernel, or at least much of it.
  virtual void onFlushed() = 0;
  virtual void onDrain() = 0;
  // When to be called, on the loop's clock, and the call.
  [[nodiscard]] virtual std::int64_t due() const = 0;
  virtual void onDue(std::int64_t now_ms) = 0;
  [[nodiscard]] virtual bool wantsInput() const = 0;
  // True when closing now would cut something off.
  [[nodiscard]] virtual bool busy() const = 0;
  virtual void onClosed() = 0;
};

}  // namespace godwit::http
