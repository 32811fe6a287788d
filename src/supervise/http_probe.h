#pragma once

#include <string>
#include <string_view>

namespace godwit::supervise {

// The request a health probe sends: GET, HTTP/1.1, Connection: close.
std::string probeRequest(std::string_view path, std::string_view host);

// Reads the first line of an HTTP response, in pieces as they arrive.
class ProbeResponse {
 public:
  enum class Verdict : unsigned char { kMore, kGood, kBad };

  // Give it every byte read. kGood: a 2xx or 3xx status line is complete. kBad: another status, or
  // not HTTP. Interim 1xx responses are passed over. The verdict never changes once it is not
  // kMore.
  Verdict feed(std::string_view bytes);
  // The peer closed: kMore becomes kBad.
  Verdict end();
  [[nodiscard]] int status() const { return status_; }  // 0 until one was read
  [[nodiscard]] std::string describe() const;           // "status 503", "not an HTTP answer"

 private:
  static constexpr std::size_t kMaxHead = 8192;
  Verdict parse();
  std::string head_;
  int status_ = 0;
  Verdict verdict_ = Verdict::kMore;
};

// A TLS 1.2/1.3 ClientHello: enough for a server to answer with a ServerHello or an alert.
std::string tlsClientHello(std::string_view random32);
// kGood when `bytes` begin with a handshake record holding a ServerHello, kBad for anything else.
ProbeResponse::Verdict judgeTlsAnswer(std::string_view bytes);

}  // namespace godwit::supervise
