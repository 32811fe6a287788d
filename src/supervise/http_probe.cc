#include "supervise/http_probe.h"

#include <initializer_list>

namespace godwit::supervise {

std::string probeRequest(std::string_view path, std::string_view host) {
  std::string out = "GET ";
  out += path.empty() ? "/" : path;
  out += " HTTP/1.1\r\nHost: ";
  out += host;
  out += "\r\nUser-Agent: godwit-run\r\nAccept: */*\r\nConnection: close\r\n\r\n";
  return out;
}

ProbeResponse::Verdict ProbeResponse::feed(std::string_view bytes) {
  if (verdict_ != Verdict::kMore) return verdict_;
  std::size_t room = kMaxHead - head_.size();
  head_ += bytes.substr(0, room);
  verdict_ = parse();
  if (verdict_ == Verdict::kMore && bytes.size() > room) verdict_ = Verdict::kBad;
  return verdict_;
}

ProbeResponse::Verdict ProbeResponse::end() {
  if (verdict_ == Verdict::kMore) verdict_ = Verdict::kBad;
  return verdict_;
}

ProbeResponse::Verdict ProbeResponse::parse() {
  constexpr std::string_view kStart = "HTTP/1.";
  for (;;) {
    std::size_t n = head_.size() < kStart.size() ? head_.size() : kStart.size();
    if (head_.compare(0, n, kStart, 0, n) != 0) return Verdict::kBad;
    std::size_t eol = head_.find('\n');
    if (eol == std::string::npos) return Verdict::kMore;
    // "HTTP/1.x SP ddd": anything after the code is the reason phrase.
    if (eol < 12 || head_[8] != ' ') return Verdict::kBad;
    int code = 0;
    for (std::size_t i = 9; i < 12; ++i) {
      if (head_[i] < '0' || head_[i] > '9') return Verdict::kBad;
      code = code * 10 + (head_[i] - '0');
    }
    if (head_[12] != ' ' && head_[12] != '\r' && head_[12] != '\n') return Verdict::kBad;
    if (code < 100 || code > 599) return Verdict::kBad;
    if (code >= 200) {
      status_ = code;
      return code < 400 ? Verdict::kGood : Verdict::kBad;
    }
    std::size_t next = head_.find("\r\n\r\n");
    if (next == std::string::npos) return Verdict::kMore;
    head_.erase(0, next + 4);
  }
}

std::string ProbeResponse::describe() const {
  if (status_ != 0) return "status " + std::to_string(status_);
  return head_.empty() ? "closed without an answer" : "not an HTTP answer";
}

namespace {

void put(std::string& out, std::initializer_list<unsigned> bytes) {
  for (unsigned b : bytes) out += static_cast<char>(b);
}

void putBlock16(std::string& out, const std::string& block) {
  put(out, {static_cast<unsigned>(block.size() >> 8), static_cast<unsigned>(block.size() & 0xff)});
  out += block;
}

}  // namespace

std::string tlsClientHello(std::string_view random32) {
  std::string suites;
  for (unsigned s : {0x1301U, 0x1302U, 0x1303U, 0xc02bU, 0xc02fU, 0xc02cU, 0xc030U, 0xcca9U,
                     0xcca8U, 0xc013U, 0xc014U, 0x009cU, 0x002fU}) {
    put(suites, {s >> 8, s & 0xff});
  }
  std::string ext;
  // RFC 8446: supported_groups x25519 and P-256, signature_algorithms, supported_versions, and an
  // empty key_share, to which a TLS 1.3 server answers HelloRetryRequest (a ServerHello too).
  put(ext, {0, 10, 0, 6, 0, 4, 0, 29, 0, 23});
  put(ext, {0, 11, 0, 2, 1, 0});
  put(ext, {0, 13, 0, 14, 0, 12, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 8, 6});
  put(ext, {0, 43, 0, 5, 4, 3, 4, 3, 3});
  put(ext, {0, 51, 0, 2, 0, 0});
  std::string hello;
  put(hello, {3, 3});
  hello += random32.substr(0, 32);
  hello.append(34 - hello.size(), '\0');
  put(hello, {0});
  putBlock16(hello, suites);
  put(hello, {1, 0});
  putBlock16(hello, ext);
  std::string message;
  put(message, {1, 0});
  putBlock16(message, hello);
  std::string record;
  put(record, {22, 3, 1});
  putBlock16(record, message);
  return record;
}

ProbeResponse::Verdict judgeTlsAnswer(std::string_view bytes) {
  using V = ProbeResponse::Verdict;
  if (bytes.empty()) return V::kMore;
  if (bytes[0] != 22) return V::kBad;
  if (bytes.size() > 1 && bytes[1] != 3) return V::kBad;
  if (bytes.size() < 6) return V::kMore;
  return bytes[5] == 2 ? V::kGood : V::kBad;
}

}  // namespace godwit::supervise
