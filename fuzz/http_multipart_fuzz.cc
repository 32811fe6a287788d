// fuzz-links: http net base
// multipart/form-data: the same parts and the same verdict whatever the split.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/http/forms.h"

namespace {

using namespace godwit;

std::string parse(const http::Request& r, std::string_view body, std::size_t step) {
  std::string log;
  http::MultipartParser::Events e;
  e.begin = [&](const http::PartHead& p) {
    log += "[" + p.name + "|" + p.filename + "|" + p.content_type + "]";
  };
  e.data = [&](std::string_view d) { log += d; };
  e.end = [&] { log += "\x01"; };
  auto p = http::MultipartParser::forRequest(r, e);
  if (!p.ok()) return "not multipart";
  while (!body.empty()) {
    std::size_t n = step ? std::min(step, body.size()) : body.size();
    if (!p->feed(body.substr(0, n)).ok()) return "refused";
    body.remove_prefix(n);
  }
  return log + (p->finish().ok() ? "ok" : "cut");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view in(reinterpret_cast<const char*>(data) + 1, size - 1);
  // First line: the Content-Type; the rest: the body.
  std::size_t line = in.find('\n');
  std::string type(in.substr(0, line));
  std::string_view body = line == std::string_view::npos ? std::string_view() : in.substr(line + 1);
  std::vector<http::Header> headers{{"Content-Type", type}};
  http::Request r;
  r.headers = headers;
  const std::string whole = parse(r, body, 0);
  if (parse(r, body, 1) != whole || parse(r, body, 2 + data[0] % 50) != whole) std::abort();
  (void)http::parseForm(in);
  return 0;
}
