#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/deadline.h"
#include "godwit/http/metrics.h"
#include "godwit/http/reply.h"
#include "godwit/http/request.h"
#include "godwit/job.h"
#include "godwit/result.h"

namespace godwit::http {

// Every bound has a default that survives a hostile internet. Times in milliseconds.
struct Limits {
  std::size_t max_connections = 16384;  // over all loops; more wait in the kernel's queue
  std::size_t max_header_bytes =
      16 * 1024;                  // request line and headers; 431 (414 for the line alone)
  std::size_t max_headers = 100;  // 431
  std::size_t max_body_bytes = 8 * 1024 * 1024;  // 413
  std::size_t max_pipelined = 64;                // parsed ahead per connection; more stay unread
  std::size_t max_output_bytes =
      1024 * 1024;  // unsent responses per connection before reading stops
  std::chrono::milliseconds header_timeout{10'000};   // first byte of a request to end of head; 408
  std::chrono::milliseconds body_timeout{30'000};     // whole body, extended by min_rate; 408
  std::chrono::milliseconds idle_timeout{75'000};     // between requests
  std::chrono::milliseconds write_timeout{30'000};    // without progress
  std::chrono::milliseconds handler_timeout{60'000};  // 503
  std::size_t min_rate = 240;                         // bytes per second a body must keep up

  Limits() = default;
};

// Files in PEM format for https:// and unix+tls: listeners. TLS 1.2 and 1.3, ALPN http/1.1, session
// resumption.
struct Tls {
  std::string certificate;  // with the chain behind it
  std::string key;
  std::string ciphers;  // for TLS 1.2, in OpenSSL's notation; "": a modern default
};

struct DrainReport {
  std::uint64_t finished = 0;  // requests answered since drain began
  std::uint64_t refused = 0;   // late requests answered 503
  std::uint64_t aborted = 0;   // requests cut off by the deadline
  std::uint64_t connections_closed = 0;
  std::chrono::milliseconds took{0};
};

// "drained 412 requests in 1.8 s, 0 aborted"
std::string describe(const DrainReport& report);

struct Stats {
  std::uint64_t connections_open = 0, connections_total = 0, connections_refused = 0;
  std::uint64_t requests_total = 0, responses_total = 0, bad_requests_total = 0, timeouts_total = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;
  std::uint64_t requests_pending = 0;  // handed to a handler, not answered
};

// What the access-log hook sees once a response has been handed to the kernel. Views are valid
// during the call. Loop thread.
struct AccessRecord {
  const Request& request;
  int status;
  std::size_t body_bytes;
  std::chrono::nanoseconds took;  // end of request head to send
  std::string_view route;         // as Router names it; "" outside one
};

// An evented HTTP/1.1 server: N threads, each with its own loop and its own share of connections.
// Configure, then run. Unless said otherwise functions are for the thread that calls run().
class Server {
 public:
  struct Options {
    std::size_t threads = 0;  // 0: one per core
    Limits limits;
    std::chrono::milliseconds drain_deadline{30'000};
    bool handle_signals = true;  // SIGTERM/SIGINT drain, a second one stops now
    std::string server_header;   // "" for none
    // An idle connection's request that arrives within drain_grace after drain() is still served:
    // it was sent before the client could know. From then until drain_idle it is answered 503; then
    // idle connections are closed.
    std::chrono::milliseconds drain_grace{1'000};
    std::chrono::milliseconds drain_idle{1'000};
    bool any_authority = false;      // accept absolute-form targets that differ from Host
    bool always_request_id = false;  // send X-Request-Id even to clients that sent none
    bool reuse_port = false;         // SO_REUSEPORT on listeners we bind
    unsigned unix_mode = 0;          // permissions of unix sockets; 0: as the umask says
    bool inherit_listeners = true;   // take LISTEN_FDS (sd_listen_fds(3)) instead of binding
    Options() {}
  };

  explicit Server(Options options = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Before listening on https. Errors: kInvalid.
  Result<void> useTls(const Tls& files);
  // Reads certificate and key again; new connections get them, open ones keep theirs. On an error
  // the old ones stay. SIGHUP does the same, when handle_signals. Any thread.
  Result<void> reloadCertificates();

  // "http://127.0.0.1:8888", "https://...", "http://[::1]:0" (0: any free port),
  // "unix:/run/x.sock", "unix:@abstract", "unix+tls:/run/x.sock". Binds now.
  // Inherited descriptors are used in order, in place of binding. Errors: kInvalid, kOs.
  Result<void> listen(std::string_view url);
  // URLs actually bound, ports filled in.
  [[nodiscard]] std::vector<std::string> endpoints() const;

  // Every request goes to `handler`. Before run().
  void onRequest(Handler handler);
  // Decides, when the head has arrived, how the body is read; without it bodies are buffered. Loop
  // thread; must not block.
  void onHead(std::function<BodyPolicy(const Request&)> decide);
  // A connection was accepted, or has closed. `remote` as in Request. Loop thread.
  void onConnect(std::function<void(std::uint64_t connection, std::string_view remote)> hook);
  void onDisconnect(std::function<void(std::uint64_t connection)> hook);
  void onAccess(std::function<void(const AccessRecord&)> hook);
  // Samples of every answered request, or of those whose Router::Route is `measured`.
  void useMetrics(RequestMetrics& metrics, bool all = true);
  // Shapes every response that the server makes by itself: 4xx for broken requests, 408, 413, 417,
  // 431, 500 for a dropped Reply, 501, 503, 505. Gets the default (text/plain); may change anything
  // but the status. Loop thread; must not block.
  void onProtocolError(std::function<void(int status, Response&)> hook);
  // Called on the main thread when every loop accepts (READY=1 has been sent).
  void onReady(Job job);
  // Called when drain begins, before connections are told; any loop thread.
  void onDrain(Job job);
  // For parts that stop with the server (Workers): as onStopped and before it, in the order given.
  void stopWith(std::function<void(Deadline)> part);
  // Called after the last connection has closed and before run() returns, with what remains of the
  // drain deadline: stop backends here. Thread that called run().
  void onStopped(std::function<void(Deadline)> job);
  // Every SIGHUP, when handle_signals. Without this call SIGHUP keeps its default action. Loop 0.
  void onHangup(std::function<void()> job);

  // For programs that own their loop: runs what is ready, waiting at most `wait` for something to
  // happen. True until drained or stopped. The first call starts the other loops. The thread that
  // polls is loop 0's; a program that uses poll() does not call run().
  bool poll(std::chrono::milliseconds wait);

  // Serves until drained. The report of the drain; an error when a loop could not start.
  Result<DrainReport> run();

  // Stop accepting, finish what was read, answer late requests 503, then close. Any thread.
  void drain(Deadline deadline);
  // Close everything now. Any thread.
  void stop();

  // Runs `job` on the loop of that connection, if it is still open then; otherwise nothing happens.
  // Any thread.
  void post(std::uint64_t connection, Job job);

  [[nodiscard]] Stats stats() const;    // any thread
  [[nodiscard]] bool draining() const;  // any thread
  [[nodiscard]] std::size_t loops() const;
  // The loop's reactor; valid from construction until the server is destroyed. Any thread.
  [[nodiscard]] Reactor& reactor(std::size_t index);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace godwit::http
