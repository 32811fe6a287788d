#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/exchange.h"
#include "http/output.h"
#include "http/protocol.h"
#include "net/poller.h"
#include "net/stream.h"
#include "net/wheel.h"

namespace godwit::http {

// What a connection waits for that has nothing to send and takes whatever comes.
inline constexpr std::uint32_t kEdge = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET;

inline std::int64_t afterMs(std::int64_t from, std::chrono::milliseconds d) {
  return from + d.count();
}

// One client connection. It reads requests, queues an Exchange for each, and writes the responses
// in the order of the requests, all that are ready at the end of a turn in one send. Loop thread
// only.
class Connection final : public net::Poller::Watcher, public net::Wheel::Node {
 public:
  Connection(Shard& shard, std::uint64_t id, net::Stream stream, std::string remote,
             std::uint32_t listener);
  ~Connection();

  // False when the descriptor cannot be watched.
  bool start();
  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] const std::string& remote() const { return remote_; }

  // An exchange of this connection has its answer.
  void onAnswered();
  // End of a loop turn in which something happened to this connection.
  void endTurn();
  // The server drains: finish, then close.
  void drain();
  // Closes now; counts what was cut off.
  void abort();

  // For a protocol that has taken over.
  void write(std::string_view bytes);
  void write(Output::Shared bytes);
  [[nodiscard]] std::size_t unsent() const { return out_.memory(); }
  void closeWhenFlushed();
  void closeNow() { close(); }
  [[nodiscard]] Shard& shard() { return shard_; }

  // A streamed request body may be read on.
  void resumed();

  void onReady(std::uint32_t events) override;
  void onDeadline() override;

  bool dirty = false;  // queued for endTurn by the shard

 private:
  using Exchange = detail::Exchange;

  // Reads what is there, up to a cap. `to_end`: a short read may not have been the last.
  void readable(bool to_end = false);
  void endOfStream();
  void ingest(std::string_view data);
  std::size_t parse(std::string_view data);
  std::size_t feedBody(std::string_view data);
  void begin(std::string_view head);
  void bodyComplete();
  void dispatch(Exchange* e);
  void refuse(Exchange* e, Refusal refusal);
  void answerLocally(Exchange* e, int status, const char* why);
  void push(Exchange* e);
  void pop();
  void writeReady(std::string& out);
  void writeHead(Exchange* e, std::string& out, bool chunked, bool until_close);
  void writeResponse(Exchange* e, std::string& out);
  bool writeStream(Exchange* e, std::string& out);
  void takeOver(std::shared_ptr<Protocol> protocol, std::string& out);
  void finished(Exchange* e);
  static void abandonBody(Exchange* e);
  void deliverBody(Exchange* e, bool done);
  void sendContinue(std::string& out);
  void flush(std::string& out);
  void reportSent();
  void updateInterest();
  void updateDeadline();
  void linger();
  void close();

  [[nodiscard]] bool idle() const {
    return !queue_ && !reading_ && in_.empty() && out_.empty() && !protocol_;
  }
  [[nodiscard]] bool full() const;
  [[nodiscard]] bool upgrading() const;
  [[nodiscard]] bool canParse() const;
  [[nodiscard]] bool wantsInput() const;
  [[nodiscard]] std::int64_t bodyDue() const;
  [[nodiscard]] std::int64_t writeDue() const;

  Shard& shard_;
  const std::uint64_t id_;
  net::Stream stream_;
  const std::string remote_;
  const std::uint32_t listener_;

  // Input.
  std::string in_;               // bytes not yet understood; a request starts at 0
  HeadScan scan_;                // progress in in_
  Exchange* reading_ = nullptr;  // its body is incomplete; also in the queue
  std::int64_t request_ms_ = 0;  // first byte of the request being read; 0: none
  std::int64_t read_ms_ = 0;     // last bytes from the peer
  std::int64_t body_ms_ = 0;
  std::uint64_t body_bytes_ = 0;   // as received, coding included
  std::uint64_t length_read_ = 0;  // of a body with Content-Length
  int blank_lines_ = 0;

  // Requests, oldest first, until their responses are written.
  Exchange* queue_ = nullptr;
  Exchange* queue_end_ = nullptr;
  std::size_t queued_ = 0;
  // Responses written, waiting for the kernel to take them (only with an access hook).
  Exchange* unsent_ = nullptr;
  Exchange* unsent_end_ = nullptr;

  std::shared_ptr<Protocol> protocol_;  // set once a response has switched protocols

  // Output.
  Output out_;
  std::uint64_t written_ = 0;     // bytes produced
  std::uint64_t sent_ = 0;        // bytes taken by the kernel
  std::int64_t write_ms_ = 0;     // out_ became non-empty
  std::int64_t progress_ms_ = 0;  // last time the kernel took something
  std::uint64_t write_from_ = 0;  // sent_ at write_ms_

  std::int64_t idle_ms_ = 0;
  std::int64_t linger_ms_ = 0;  // 0: not lingering
  std::size_t linger_bytes_ = 0;
  std::uint32_t interest_ = 0;
  const bool edge_;      // told of new input once, not for as long as it lies there
  bool unread_ = false;  // with edge_: there may be input that nobody will tell of again
  bool in_turn_ = false;
  bool eof_ = false;      // the peer sends no more
  bool last_ = false;     // no further request will be read
  bool stalled_ = false;  // in_ may hold a request that waits for room
  bool closing_ = false;  // close when out_ is empty
  bool close_after_stream_ = false;
  bool abortive_ = false;  // the peer must see that something is missing
  bool closed_ = false;
  bool continue_due_ = false;
  bool drained_ = false;
};

}  // namespace godwit::http
