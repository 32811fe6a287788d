#include "agent/http_parser.h"

#include <algorithm>
#include <charconv>

#include "base/encoding.h"
#include "base/text.h"

namespace godwit::agent {
namespace {

// As in RFC 9110 section 5.6.3: a line break is no white space of a field.
std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

bool isToken(std::string_view s) {
  if (s.empty()) return false;
  return std::all_of(s.begin(), s.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

bool hasListItem(std::string_view list, std::string_view item) {
  while (!list.empty()) {
    std::size_t n = list.find(',');
    if (equalIgnoreCase(trim(list.substr(0, n)), item)) return true;
    list.remove_prefix(n == std::string_view::npos ? list.size() : n + 1);
  }
  return false;
}

bool parseQuery(std::string_view query, std::vector<std::pair<std::string, std::string>>& out) {
  while (!query.empty()) {
    std::size_t n = query.find('&');
    std::string_view pair = query.substr(0, n);
    query.remove_prefix(n == std::string_view::npos ? query.size() : n + 1);
    if (pair.empty()) continue;
    std::size_t eq = pair.find('=');
    auto key = percentDecode(pair.substr(0, eq), true);
    auto value = percentDecode(
        eq == std::string_view::npos ? std::string_view{} : pair.substr(eq + 1), true);
    if (!key || !value) return false;
    out.emplace_back(std::move(*key), std::move(*value));
  }
  return true;
}

}  // namespace

std::string_view HttpRequest::header(std::string_view lower_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_name) return value;
  }
  return {};
}

std::string_view HttpRequest::param(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return {};
}

void HttpParser::reset() {
  request_ = {};
  phase_ = Phase::kHead;
  head_.clear();
  left_ = 0;
  trailer_bytes_ = 0;
  expect_continue_ = false;
  error_ = 0;
}

HttpParser::State HttpParser::fail(int status) {
  phase_ = Phase::kError;
  error_ = status;
  return State::kError;
}

// Collects a line in head_, without its CRLF. False: more bytes needed, or too long (then head_ is
// over the limit).
bool HttpParser::takeLine(std::string_view data, std::size_t& used) {
  std::size_t nl = data.find('\n', used);
  std::size_t end = nl == std::string_view::npos ? data.size() : nl;
  head_.append(data.substr(used, end - used));
  used = nl == std::string_view::npos ? end : nl + 1;
  if (nl == std::string_view::npos) return false;
  if (!head_.empty() && head_.back() == '\r') head_.pop_back();
  return true;
}

HttpParser::State HttpParser::feed(std::string_view data, std::size_t& used) {
  used = 0;
  while (true) {
    switch (phase_) {
      case Phase::kHead: {
        if (head_.empty()) {  // empty lines before a request are allowed (RFC 9112, 2.2)
          while (used < data.size() && (data[used] == '\r' || data[used] == '\n')) ++used;
        }
        std::size_t old = head_.size();
        std::string_view rest = data.substr(used);
        rest = rest.substr(0, std::min(rest.size(), limits_.header_bytes + 4 - old));
        head_.append(rest);
        std::size_t from = old < 3 ? 0 : old - 3;
        std::size_t end = head_.find("\r\n\r\n", from);
        if (end == std::string::npos) {
          used += rest.size();
          if (head_.size() > limits_.header_bytes) return fail(431);
          return State::kNeedMore;
        }
        used += end + 4 - old;
        head_.resize(end + 2);
        if (parseHead() == State::kError) return State::kError;
        head_.clear();
        break;
      }
      case Phase::kBody:
      case Phase::kChunkData: {
        std::size_t n = std::min(left_, data.size() - used);
        request_.body.append(data.substr(used, n));
        used += n;
        left_ -= n;
        if (left_ > 0) return State::kNeedMore;
        phase_ = phase_ == Phase::kBody ? Phase::kDone : Phase::kChunkEnd;
        break;
      }
      case Phase::kChunkSize: {
        if (!takeLine(data, used)) {
          return head_.size() > 1024 ? fail(400) : State::kNeedMore;
        }
        std::string_view size = std::string_view(head_).substr(0, head_.find(';'));
        size = trim(size);
        std::size_t n = 0;
        auto r = std::from_chars(size.data(), size.data() + size.size(), n, 16);
        if (size.empty() || size.size() > 15 || r.ec != std::errc() ||
            r.ptr != size.data() + size.size()) {
          return fail(400);
        }
        head_.clear();
        if (n > limits_.body_bytes - request_.body.size()) return fail(413);
        left_ = n;
        phase_ = n == 0 ? Phase::kTrailer : Phase::kChunkData;
        break;
      }
      case Phase::kChunkEnd:
        if (!takeLine(data, used)) return head_.size() > 2 ? fail(400) : State::kNeedMore;
        if (!head_.empty()) return fail(400);
        phase_ = Phase::kChunkSize;
        break;
      case Phase::kTrailer: {
        if (!takeLine(data, used)) {
          return head_.size() > limits_.header_bytes ? fail(431) : State::kNeedMore;
        }
        trailer_bytes_ += head_.size() + 2;
        if (trailer_bytes_ > limits_.header_bytes) return fail(431);
        bool last = head_.empty();
        head_.clear();
        if (last) phase_ = Phase::kDone;
        break;
      }
      case Phase::kDone:
        return State::kDone;
      case Phase::kError:
        return State::kError;
    }
  }
}

HttpParser::State HttpParser::parseHead() {
  std::string_view text = head_;
  std::string_view line = text.substr(0, text.find("\r\n"));
  text.remove_prefix(line.size() + 2);
  std::size_t a = line.find(' ');
  std::size_t b = line.rfind(' ');
  if (a == std::string_view::npos || b == a) return fail(400);
  std::string_view version = line.substr(b + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return fail(version.starts_with("HTTP/") ? 505 : 400);
  }
  request_.method = line.substr(0, a);
  request_.target = line.substr(a + 1, b - a - 1);
  if (!isToken(request_.method) || request_.target.empty() || request_.target[0] != '/' ||
      request_.target.find(' ') != std::string::npos) {
    return fail(400);
  }
  std::string_view target = request_.target;
  std::size_t q = target.find('?');
  auto path = percentDecode(target.substr(0, q));
  if (!path) return fail(400);
  request_.path = std::move(*path);
  if (q != std::string_view::npos && !parseQuery(target.substr(q + 1), request_.query)) {
    return fail(400);
  }

  while (!text.empty()) {
    line = text.substr(0, text.find("\r\n"));
    text.remove_prefix(line.size() + 2);
    std::size_t colon = line.find(':');
    // A bare CR or LF, folding, or a space before the colon is how requests are smuggled.
    if (colon == std::string_view::npos || !isToken(line.substr(0, colon)) ||
        line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
      return fail(400);
    }
    if (request_.headers.size() >= 100) return fail(431);
    request_.headers.emplace_back(lower(line.substr(0, colon)), trim(line.substr(colon + 1)));
  }

  std::string_view connection = request_.header("connection");
  request_.keep_alive = version == "HTTP/1.1" ? !hasListItem(connection, "close")
                                              : hasListItem(connection, "keep-alive");
  std::size_t lengths = 0;
  for (const auto& [name, value] : request_.headers) lengths += name == "content-length";
  std::string_view length = request_.header("content-length");
  std::string_view coding = request_.header("transfer-encoding");
  if (lengths > 1 || (lengths > 0 && !coding.empty())) return fail(400);
  expect_continue_ = equalIgnoreCase(request_.header("expect"), "100-continue");
  if (!coding.empty()) {
    if (!equalIgnoreCase(coding, "chunked") || version == "HTTP/1.0") return fail(501);
    phase_ = Phase::kChunkSize;
    return State::kNeedMore;
  }
  if (lengths > 0) {
    auto r = std::from_chars(length.data(), length.data() + length.size(), left_);
    if (length.empty() || r.ptr != length.data() + length.size()) return fail(400);
    if (r.ec != std::errc() || left_ > limits_.body_bytes) return fail(413);
    request_.body.reserve(std::min<std::size_t>(left_, 1 << 20));
  }
  phase_ = left_ > 0 ? Phase::kBody : Phase::kDone;
  if (left_ == 0) expect_continue_ = false;
  return State::kNeedMore;
}

}  // namespace godwit::agent
