#include "godwit/http/forms.h"

#include <algorithm>

#include "base/encoding.h"
#include "http/text.h"

namespace godwit::http {
namespace {

// Calls f(name, value) for each pair, still encoded, until it returns true.
template <class F>
void forEachPair(std::string_view text, F f) {
  while (!text.empty()) {
    std::size_t amp = text.find('&');
    std::string_view pair = text.substr(0, amp);
    if (!pair.empty()) {
      std::size_t equals = pair.find('=');
      if (f(pair.substr(0, equals),
            equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1))) {
        return;
      }
    }
    if (amp == std::string_view::npos) return;
    text.remove_prefix(amp + 1);
  }
}

// Calls f(name, value) for `; name=value` parameters; quoted strings are unquoted.
template <class F>
void forEachParameter(std::string_view s, F f) {
  std::size_t at = s.find(';');
  while (at != std::string_view::npos) {
    s.remove_prefix(at + 1);
    s = s.substr(std::min(s.size(), s.find_first_not_of(" \t")));
    std::size_t equals = s.find('=');
    if (equals == std::string_view::npos) return;
    std::string_view name = trim(s.substr(0, equals));
    s.remove_prefix(equals + 1);
    std::string value;
    if (s.starts_with('"')) {
      std::size_t i = 1;
      for (; i < s.size() && s[i] != '"'; ++i) {
        // Browsers escape nothing but the quote; a backslash before anything else is itself.
        if (s[i] == '\\' && i + 1 < s.size() && (s[i + 1] == '"' || s[i + 1] == '\\')) ++i;
        value += s[i];
      }
      s.remove_prefix(std::min(i + 1, s.size()));
    } else {
      std::size_t end = s.find(';');
      value = trim(s.substr(0, end));
      s.remove_prefix(end == std::string_view::npos ? s.size() : end);
    }
    f(name, value);
    at = s.find(';');
  }
}

}  // namespace

std::optional<std::string> urlDecode(std::string_view text, bool form) {
  return percentDecode(text, form);
}
std::string urlEncode(std::string_view text) { return percentEncode(text); }

FormFields parseForm(std::string_view text) {
  FormFields fields;
  forEachPair(text, [&](std::string_view n, std::string_view v) {
    auto name = percentDecode(n, true);
    auto value = percentDecode(v, true);
    if (name && value) fields.emplace_back(std::move(*name), std::move(*value));
    return false;
  });
  return fields;
}

std::optional<std::string> formValue(std::string_view text, std::string_view name) {
  std::optional<std::string> found;
  forEachPair(text, [&](std::string_view n, std::string_view v) {
    if (percentDecode(n, true) != name) return false;
    found = percentDecode(v, true);
    return found.has_value();
  });
  return found;
}

std::optional<BasicAuth> basicAuth(const Request& request) {
  std::string_view value = request.header("Authorization");
  std::size_t space = value.find(' ');
  if (space == std::string_view::npos || !iequals(value.substr(0, space), "basic")) {
    return std::nullopt;
  }
  std::optional<std::string> text = base64Decode(trim(value.substr(space + 1)));
  if (!text) return std::nullopt;
  std::size_t colon = text->find(':');
  if (colon == std::string::npos) return std::nullopt;
  return BasicAuth{text->substr(0, colon), text->substr(colon + 1)};
}

std::optional<std::string_view> cookie(const Request& request, std::string_view name) {
  for (const Header& h : request.headers) {
    if (!iequals(h.name, "cookie")) continue;
    std::string_view rest = h.value;
    while (!rest.empty()) {
      std::size_t semicolon = rest.find(';');
      std::string_view pair = trim(rest.substr(0, semicolon));
      std::size_t equals = pair.find('=');
      if (equals != std::string_view::npos && pair.substr(0, equals) == name) {
        return pair.substr(equals + 1);
      }
      rest = semicolon == std::string_view::npos ? std::string_view() : rest.substr(semicolon + 1);
    }
  }
  return std::nullopt;
}

MultipartParser::MultipartParser(std::string boundary, Events events, Limits limits)
    : boundary_("\r\n--" + std::move(boundary)),
      events_(std::move(events)),
      limits_(limits),
      buffer_("\r\n") {}  // so that a boundary at the very start is one too

Result<MultipartParser> MultipartParser::forRequest(const Request& request, Events events,
                                                    Limits limits) {
  std::string_view type = request.header("Content-Type");
  if (!iequals(trim(type.substr(0, type.find(';'))), "multipart/form-data")) {
    return Error(ErrorCode::kInvalid, "not multipart/form-data");
  }
  std::string boundary;
  forEachParameter(type, [&](std::string_view name, const std::string& value) {
    if (iequals(name, "boundary")) boundary = value;
  });
  if (boundary.empty() || boundary.size() > 70 ||
      boundary.find_first_of("\r\n") != std::string::npos) {
    return Error(ErrorCode::kInvalid, "multipart boundary missing or malformed");
  }
  return MultipartParser(std::move(boundary), std::move(events), limits);
}

Result<void> MultipartParser::feed(std::string_view bytes) {
  buffer_.append(bytes);
  for (;;) {
    switch (state_) {
      case State::kPreamble:
      case State::kData: {
        std::size_t at = buffer_.find(boundary_);
        // What may be the start of a boundary waits for its end.
        std::size_t sure = at != std::string::npos ? at
                           : buffer_.size() < boundary_.size()
                               ? 0
                               : buffer_.size() - boundary_.size() + 1;
        if (state_ == State::kData && sure > 0 && events_.data) {
          events_.data(std::string_view(buffer_).substr(0, sure));
        }
        if (at == std::string::npos) {
          buffer_.erase(0, sure);
          return {};
        }
        if (state_ == State::kData && events_.end) events_.end();
        buffer_.erase(0, at + boundary_.size());
        state_ = State::kAfterBoundary;
        break;
      }
      case State::kAfterBoundary: {
        if (buffer_.size() < 2) return {};
        if (buffer_.starts_with("--")) {
          state_ = State::kDone;
          break;
        }
        std::size_t end = buffer_.find_first_not_of(" \t");  // padding, says RFC 2046
        if (std::min(end, buffer_.size()) > 256) {
          return Error(ErrorCode::kInvalid, "malformed multipart boundary");
        }
        if (end == std::string::npos || end + 2 > buffer_.size()) return {};
        if (buffer_.compare(end, 2, "\r\n") != 0) {
          return Error(ErrorCode::kInvalid, "malformed multipart boundary");
        }
        if (++parts_ > limits_.max_parts) return Error(ErrorCode::kLimit, "too many parts");
        buffer_.erase(0, end);  // keeps the CRLF: a part may have no header at all
        state_ = State::kHead;
        break;
      }
      case State::kHead: {
        std::size_t end = buffer_.find("\r\n\r\n");
        if (end == std::string::npos ? buffer_.size() > limits_.max_head_bytes
                                     : end > limits_.max_head_bytes) {
          return Error(ErrorCode::kLimit, "part header too large");
        }
        if (end == std::string::npos) return {};
        const std::string block = end < 2 ? std::string() : buffer_.substr(2, end - 2);
        buffer_.erase(0, end + 4);
        GODWIT_TRY(head(block));
        state_ = State::kData;
        break;
      }
      case State::kDone:
        buffer_.clear();  // an epilogue is to be ignored
        return {};
    }
  }
}

// `block`: the header lines of a part, without the last CRLF.
Result<void> MultipartParser::head(std::string_view block) {
  PartHead part;
  bool form_data = false;
  while (!block.empty()) {
    std::size_t end = block.find("\r\n");
    std::string_view line = block.substr(0, end);
    block.remove_prefix(end == std::string_view::npos ? block.size() : end + 2);
    std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !isToken(line.substr(0, colon))) {
      return Error(ErrorCode::kInvalid, "malformed part header");
    }
    std::string_view name = line.substr(0, colon);
    std::string_view value = trim(line.substr(colon + 1));
    if (iequals(name, "content-type")) part.content_type = value;
    if (iequals(name, "content-disposition")) {
      form_data = iequals(trim(value.substr(0, value.find(';'))), "form-data");
      forEachParameter(value, [&](std::string_view n, const std::string& v) {
        if (iequals(n, "name")) part.name = v;
        if (iequals(n, "filename")) part.filename = v;
      });
    }
  }
  if (!form_data) return Error(ErrorCode::kInvalid, "a part without Content-Disposition");
  if (events_.begin) events_.begin(part);
  return {};
}

Result<void> MultipartParser::finish() const {
  if (state_ == State::kDone) return {};
  return Error(ErrorCode::kInvalid, "multipart body without its closing boundary");
}

Result<std::vector<Part>> parseMultipart(const Request& request) {
  std::vector<Part> parts;
  MultipartParser::Events events;
  events.begin = [&](const PartHead& h) { parts.push_back({h, {}}); };
  events.data = [&](std::string_view d) { parts.back().data.append(d); };
  Result<MultipartParser> parser = MultipartParser::forRequest(request, std::move(events));
  if (!parser.ok()) return std::move(parser).error();
  GODWIT_TRY(parser->feed(request.body));
  GODWIT_TRY(parser->finish());
  return parts;
}

}  // namespace godwit::http
