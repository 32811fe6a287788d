#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace godwit::http {

// A response with its whole body in memory. Reused by the connection from request to request, so
// that strings keep their capacity. Content-Length, Connection and Date are added by the server.
class Response {
 public:
  int status = 200;
  std::string body;

  // Appends a header line. `name` and `value` must be free of CR, LF and NUL; a pair that is not is
  // dropped and counted (no response splitting through a careless handler).
  // Connection (but for "close"), Content-Length (but for HEAD, where the length of the GET may be
  // known without making its body) and Transfer-Encoding are the server's and ignored here.
  void header(std::string_view name, std::string_view value);
  void header(std::string_view name, std::int64_t value);
  // First header of that name set so far, ASCII case ignored, or "".
  [[nodiscard]] std::string_view get(std::string_view name) const;
  // Removes every header of that name. True when there was one.
  bool remove(std::string_view name);
  // The lines appended so far: "Name: value\r\n" each. For constant blocks prepared once.
  [[nodiscard]] const std::string& headerBlock() const { return headers_; }
  void appendHeaderBlock(std::string_view lines) { headers_.append(lines); }  // must be well-formed

  // Exchanges all the lines so far for `lines`, which must be well-formed: for those who gather
  // them elsewhere and want the memory to go round.
  void swapHeaderBlock(std::string& lines) { headers_.swap(lines); }

  // Sets status, Content-Type and body.
  void text(int code, std::string_view content);
  void json(int code, std::string_view content);

  void clear() {
    status = 200;
    body.clear();
    headers_.clear();
    close_ = own_date_ = own_server_ = has_length_ = false;
  }

 private:
  friend class ResponseWriter;
  std::string headers_;
  std::uint64_t length_ = 0;  // for HEAD
  bool has_length_ = false;
  bool close_ = false;
  bool own_date_ = false;
  bool own_server_ = false;
};

std::string_view reasonPhrase(int status);  // "Not Found"; "" when unknown

}  // namespace godwit::http
