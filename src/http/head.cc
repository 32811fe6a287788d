// The only place that knows Beast: its parser splits a complete head into tokens; which heads are
// acceptable is decided here, more strictly than the parser would.
#include "http/head.h"

#include <algorithm>
#include <array>
#include <boost/beast/http/basic_parser.hpp>
#include <charconv>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "http/text.h"

namespace godwit::http {
namespace {

namespace beast = boost::beast;
using BeastString = beast::string_view;
using BeastError = beast::error_code;

std::string_view sv(BeastString s) { return {s.data(), s.size()}; }

// First byte that is a control other than HT, from `at`.
std::size_t findControl(std::string_view d, std::size_t at) {
  std::size_t i = at;
#if defined(__SSE2__)
  const __m128i top = _mm_set1_epi8(0x1f);
  const __m128i del = _mm_set1_epi8(0x7f);
  const __m128i tab = _mm_set1_epi8('\t');
  for (; i + 16 <= d.size(); i += 16) {
    __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(d.data() + i));
    __m128i low = _mm_cmpeq_epi8(_mm_max_epu8(v, top), top);
    __m128i bad =
        _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(v, tab), low), _mm_cmpeq_epi8(v, del));
    if (int m = _mm_movemask_epi8(bad)) {
      return i + static_cast<std::size_t>(__builtin_ctz(static_cast<unsigned>(m)));
    }
  }
#endif
  for (; i < d.size(); ++i) {
    auto c = static_cast<unsigned char>(d[i]);
    if ((c < 0x20 && c != '\t') || c == 0x7f) break;
  }
  return i;
}

Refusal judgeLine(std::string_view line) {
  std::size_t method = 0;
  while (method < line.size() && isTokenChar(line[method])) ++method;
  if (method == 0 || method == line.size() || line[method] != ' ') {
    return {400, "malformed request line"};
  }
  std::size_t target = method + 1;
  std::size_t space = line.find(' ', target);
  if (space == std::string_view::npos || space == target) return {400, "malformed request line"};
  if (line.substr(target, space - target).find('\t') != std::string_view::npos) {
    return {400, "malformed request target"};
  }
  std::string_view version = line.substr(space + 1);
  auto digit = [&](std::size_t i) { return version[i] >= '0' && version[i] <= '9'; };
  if (version.size() != 8 || !version.starts_with("HTTP/") || !digit(5) || version[6] != '.' ||
      !digit(7)) {
    return {400, "malformed HTTP version"};
  }
  if (version[5] != '1' || version[7] > '1') return {505, "only HTTP/1.0 and HTTP/1.1 are spoken"};
  return {};
}

class Tokens final : public beast::http::basic_parser<true> {
 public:
  Tokens(Request& request, std::vector<Header>& headers, std::size_t max)
      : request_(request), headers_(headers), max_(max) {
    skip(true);  // bodies are framed by our own decoders
    header_limit(UINT32_MAX);
  }

  Refusal refusal;
  std::string_view host, expect, request_id;
  std::uint64_t length = 0;
  bool has_host = false, has_length = false, has_te = false, chunked_last = false;
  bool te_unknown = false, te_bad = false, close = false, keep = false, upgrade = false;
  bool has_expect = false, expect_bad = false;

 private:
  void on_request_impl(beast::http::verb, BeastString method, BeastString target, int version,
                       BeastError&) override {
    request_.method_name = sv(method);
    request_.method = methodFromString(request_.method_name);
    request_.target = sv(target);
    request_.minor_version = version - 10;
  }
  void on_field_impl(beast::http::field f, BeastString name, BeastString value,
                     BeastError& ec) override {
    if (headers_.size() >= max_) return refuse(431, "too many header fields", ec);
    const std::string_view v = sv(value);
    headers_.push_back({sv(name), v});
    switch (f) {
      case beast::http::field::host:
        if (has_host) return refuse(400, "more than one Host", ec);
        has_host = true;
        host = v;
        break;
      case beast::http::field::content_length:
        onLength(v, ec);
        break;
      case beast::http::field::transfer_encoding:
        onTransferEncoding(v);
        break;
      case beast::http::field::connection:
        forEachMember(v, [this](std::string_view m) {
          close |= iequals(m, "close");
          keep |= iequals(m, "keep-alive");
          upgrade |= iequals(m, "upgrade");
        });
        break;
      case beast::http::field::expect:
        has_expect = true;
        expect_bad |= !iequals(v, "100-continue");
        break;
      default:
        if (name.size() == 12 && iequals(sv(name), "x-request-id")) request_id = v;
        break;
    }
  }
  void onLength(std::string_view v, BeastError& ec) {
    if (has_length) return refuse(400, "more than one Content-Length", ec);
    has_length = true;
    // from_chars takes no sign, space or separator for an unsigned number; neither do we.
    auto [end, error] = std::from_chars(v.data(), v.data() + v.size(), length);
    if (v.empty() || error != std::errc() || end != v.data() + v.size()) {
      refuse(400, "malformed Content-Length", ec);
    }
  }
  void onTransferEncoding(std::string_view v) {
    if (v.empty()) te_bad = true;
    has_te = true;
    forEachMember(v, [this](std::string_view coding) {
      if (chunked_last) te_bad = true;  // something follows chunked
      chunked_last = iequals(coding, "chunked");
      te_unknown |= !chunked_last;
    });
  }
  void refuse(int status, const char* why, BeastError& ec) {
    refusal = {status, why};
    ec = beast::http::error::bad_value;
  }

  void on_response_impl(int, BeastString, int, BeastError&) override {}
  void on_header_impl(BeastError&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, BeastError&) override {}
  std::size_t on_body_impl(BeastString, BeastError&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, BeastString, BeastError&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, BeastString, BeastError&) override { return 0; }
  void on_finish_impl(BeastError&) override {}

  Request& request_;
  std::vector<Header>& headers_;
  const std::size_t max_;
};

// reg-name, IPv4, [IPv6] and a port: enough to keep white space, lists, user info and paths out.
constexpr std::array<bool, 256> kHostBytes = [] {
  std::array<bool, 256> t{};
  for (std::size_t c = 0x21; c < 0x7f; ++c) t[c] = true;
  for (unsigned char c : std::string_view("\"#,/<>?@\\^`{|}")) t[c] = false;
  return t;
}();

bool validHost(std::string_view h) {
  return std::all_of(h.begin(), h.end(),
                     [](char c) { return kHostBytes[static_cast<unsigned char>(c)]; });
}

// Splits the target and checks its form against the method.
Refusal judgeTarget(Request& r, const Tokens& t, const HeadLimits& limits) {
  std::string_view path = r.target;
  if (r.method == Method::kConnect) return {405, "CONNECT is not offered"};
  if (path == "*") {
    if (r.method != Method::kOptions) return {400, "the target * is for OPTIONS"};
  } else if (path[0] != '/') {
    std::size_t scheme = path.find("://");
    if (scheme == std::string_view::npos ||
        !(iequals(path.substr(0, scheme), "http") || iequals(path.substr(0, scheme), "https"))) {
      return {400, "malformed request target"};
    }
    std::size_t start = path.find_first_of("/?", scheme + 3);
    std::string_view authority = path.substr(
        scheme + 3, (start == std::string_view::npos ? path.size() : start) - scheme - 3);
    if (authority.empty() || !validHost(authority)) return {400, "malformed request target"};
    if (!limits.any_authority && !iequals(authority, t.host)) {
      return {400, "the target's authority differs from Host"};
    }
    path = start == std::string_view::npos ? std::string_view("/") : path.substr(start);
  }
  if (path.find('#') != std::string_view::npos) return {400, "fragment in the request target"};
  std::size_t question = path.find('?');
  r.path = path.substr(0, question);
  if (r.path.empty()) r.path = "/";
  r.query = question == std::string_view::npos ? std::string_view() : path.substr(question + 1);
  return {};
}

}  // namespace

bool HeadScan::advance(std::string_view data, const HeadLimits& limits) {
  const bool over = data.size() > limits.max_bytes;
  const std::string_view d = data.substr(0, limits.max_bytes);
  auto refuse = [this](int status, const char* why) {
    refusal = {status, why};
    return true;
  };
  for (;;) {
    at = findControl(d, at);
    if (at >= d.size()) break;
    if (d[at] != '\r') {
      return refuse(400, d[at] == '\n' ? "bare LF in the head" : "control byte in the head");
    }
    if (at + 1 >= d.size()) break;
    if (d[at + 1] != '\n') return refuse(400, "bare CR in the head");
    if (!line_end) {
      refusal = judgeLine(d.substr(0, at));
      if (refusal.status) return true;
      line_end = at + 2;
    } else if (d[at - 1] == '\n') {
      end = at + 2;
      return true;
    }
    if (at + 2 >= d.size()) break;  // the fold check below needs the next byte
    if (d[at + 2] == ' ' || d[at + 2] == '\t') return refuse(400, "folded header field");
    at += 2;
  }
  if (!over && data.size() < limits.max_bytes) return false;
  return line_end ? refuse(431, "request head too large") : refuse(414, "request line too long");
}

Refusal parseHead(std::string_view head, const HeadLimits& limits, Request& request,
                  std::vector<Header>& headers, HeadFacts& facts) {
  headers.clear();
  Tokens t(request, headers, limits.max_headers);
  BeastError ec;
  t.put(boost::asio::const_buffer(head.data(), head.size()), ec);
  request.headers = headers;
  facts = {};
  if (t.refusal.status) return t.refusal;
  if (ec || !t.is_done()) return {400, "malformed header field"};
  const bool old = request.minor_version == 0;
  if (!old && !t.has_host) return {400, "no Host"};
  if (!validHost(t.host)) return {400, "malformed Host"};
  if (Refusal r = judgeTarget(request, t, limits); r.status) return r;
  if (t.has_te) {
    if (t.has_length) return {400, "both Content-Length and Transfer-Encoding"};
    if (old) return {400, "Transfer-Encoding in HTTP/1.0"};
    if (t.te_bad || !t.chunked_last) return {400, "Transfer-Encoding does not end in chunked"};
    if (t.te_unknown) return {501, "transfer coding not implemented"};
    facts.framing = Framing::kChunked;
  } else if (t.length > 0) {
    facts.framing = Framing::kLength;
    facts.length = t.length;
  }
  if (t.has_expect && !old) {
    if (t.expect_bad) return {417, "only 100-continue can be expected"};
    facts.expect_continue = true;
  }
  facts.keep_alive = old ? t.keep && !t.close : !t.close;
  facts.upgrade = t.upgrade && !old;
  facts.request_id = t.request_id;
  return {};
}

}  // namespace godwit::http
