#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/unique_fd.h"

namespace godwit::net {

// Byte transport laid over a connected socket; TLS implements it. Loop thread only.
class StreamLayer {
 public:
  virtual ~StreamLayer() = default;
  virtual ssize_t read(void* data, std::size_t size) = 0;
  virtual ssize_t write(const void* data, std::size_t size) = 0;
  // True when read() waits for the socket to become writable (handshake).
  [[nodiscard]] virtual bool readWantsWrite() const = 0;
  // True when bytes have been taken from the socket that read() has not given out.
  [[nodiscard]] virtual bool pending() const = 0;
  [[nodiscard]] virtual bool handshaking() const = 0;
  virtual void shutdown() = 0;
};

// A connected non-blocking socket, plain or under a StreamLayer. Loop thread only.
//
// read and write return a count, or: 0 end of stream (read), -EAGAIN would block, other -errno
// failed.
class Stream {
 public:
  explicit Stream(UniqueFd fd, std::unique_ptr<StreamLayer> layer = nullptr)
      : fd_(std::move(fd)), layer_(std::move(layer)) {}

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool tls() const { return layer_ != nullptr; }
  [[nodiscard]] bool handshaking() const { return layer_ && layer_->handshaking(); }
  [[nodiscard]] bool pending() const { return layer_ && layer_->pending(); }
  [[nodiscard]] bool readWantsWrite() const { return layer_ && layer_->readWantsWrite(); }

  ssize_t read(void* data, std::size_t size);
  ssize_t write(const void* data, std::size_t size);
  ssize_t writev(const iovec* parts, int count);
  // Moves up to `size` bytes of `file` from `offset` to the socket.
  ssize_t sendFile(int file, off_t offset, std::size_t size);
  // Ends our direction; the peer's stays open.
  void shutdownWrite();
  // Discards unsent data and resets the connection when closed.
  void abortive();
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
  std::unique_ptr<StreamLayer> layer_;
};

// No delay, and keep-alive probes, for a TCP socket; a listening one passes them on.
void tuneAccepted(int fd);

}  // namespace godwit::net
