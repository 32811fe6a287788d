#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace godwit::http {

enum class WsOpcode : std::uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10
};

// Appends one unmasked final frame.
void wsFrame(std::string& out, WsOpcode opcode, std::string_view payload, bool deflated = false);

// Raw deflate of one message, tail removed, as permessage-deflate wants it. False when short of
// memory. Any thread.
bool wsDeflate(std::string_view in, std::string& out);
// The reverse, up to `max` bytes. 0, or the close code: 1007 broken, 1009 too large.
std::uint16_t wsInflate(std::string_view in, std::string& out, std::size_t max);

// The value of Sec-WebSocket-Accept; "" for a key that is not 16 bytes in base64.
std::string wsAccept(std::string_view key);
// True when one of the offers can be taken as "no context takeover on either side".
bool wsDeflateOffered(std::string_view extensions);

// Puts frames from a client together to messages. Bytes may come in any pieces.
class WsDecoder {
 public:
  class Sink {
   public:
    virtual void onMessage(std::string_view message, bool is_text) = 0;
    virtual void onPing(std::string_view payload) = 0;
    virtual void onPong(std::string_view payload) = 0;
    virtual void onCloseFrame(std::uint16_t code, std::string_view reason) = 0;
    // True once nothing more is wanted.
    [[nodiscard]] virtual bool done() const = 0;

   protected:
    ~Sink() = default;
  };

  WsDecoder(std::size_t max_message, bool deflate) : max_(max_message), deflate_(deflate) {}

  // 0, or the code to fail the connection with: 1002 protocol, 1007 not UTF-8 or not deflate, 1009
  // too large.
  std::uint16_t feed(std::string_view in, Sink& sink);

 private:
  std::uint16_t header();
  std::uint16_t frameEnd(Sink& sink);
  std::uint16_t messageEnd(Sink& sink);

  const std::size_t max_;
  const bool deflate_;
  unsigned char head_[14] = {};
  std::size_t head_size_ = 0;  // bytes of the frame header so far
  std::size_t head_need_ = 2;
  bool in_payload_ = false;
  bool fin_ = false;
  WsOpcode opcode_ = WsOpcode::kContinuation;
  std::uint64_t left_ = 0;
  std::uint64_t taken_ = 0;  // of this frame, for the mask
  unsigned char mask_[4] = {};
  bool in_message_ = false;
  bool text_ = false;
  bool compressed_ = false;
  std::string message_;
  std::string control_;
};

}  // namespace godwit::http
