#include "http/output.h"

#include <algorithm>
#include <cerrno>

namespace godwit::http {
namespace {
constexpr std::size_t kJoin = 16 * 1024;  // small writes are joined into pieces of about this size
constexpr int kMaxParts = 16;
constexpr std::uint64_t kFileBlock = 512 * 1024;
}  // namespace

void Output::push(Piece piece) {
  std::uint64_t n = piece.end - piece.offset;
  if (n == 0) return;
  size_ += n;
  if (!piece.file) memory_ += static_cast<std::size_t>(n);
  pieces_.push_back(std::move(piece));
}

void Output::append(std::string_view bytes) {
  if (first_ < pieces_.size()) {
    Piece& last = pieces_.back();
    if (!last.shared && !last.file && last.own.size() + bytes.size() <= kJoin) {
      last.own.append(bytes);
      last.end += bytes.size();
      size_ += bytes.size();
      memory_ += bytes.size();
      return;
    }
  }
  append(std::string(bytes));
}

void Output::append(std::string&& bytes) {
  Piece p;
  p.end = bytes.size();
  p.own = std::move(bytes);
  push(std::move(p));
}

void Output::append(Shared bytes) {
  Piece p;
  p.end = bytes->size();
  p.shared = std::move(bytes);
  push(std::move(p));
}

void Output::appendFile(std::shared_ptr<UniqueFd> file, std::uint64_t offset,
                        std::uint64_t length) {
  Piece p;
  p.file = std::move(file);
  p.offset = offset;
  p.end = offset + length;
  push(std::move(p));
}

void Output::consume(std::uint64_t n) {
  size_ -= n;
  while (n > 0) {
    Piece& p = pieces_[first_];
    std::uint64_t k = std::min(n, p.end - p.offset);
    p.offset += k;
    n -= k;
    if (!p.file) memory_ -= static_cast<std::size_t>(k);
    if (p.offset == p.end) {
      p = Piece();
      ++first_;
    }
  }
  if (size_ == 0) {
    clear();
  } else if (first_ > 64) {
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

ssize_t Output::flush(net::Stream& stream, std::uint64_t& sent) {
  // A fast reader of a large file must not keep the loop to itself.
  std::uint64_t budget = 4 * kFileBlock;
  while (size_ > 0) {
    Piece& p = pieces_[first_];
    ssize_t n = 0;
    std::uint64_t tried = 0;
    if (p.file) {
      tried = std::min(p.end - p.offset, kFileBlock);
      n = stream.sendFile(p.file->get(), static_cast<off_t>(p.offset),
                          static_cast<std::size_t>(tried));
      if (n == 0) return -EIO;
    } else {
      iovec parts[kMaxParts];
      int count = 0;
      for (std::size_t i = first_; i < pieces_.size() && count < kMaxParts && !pieces_[i].file;
           ++i) {
        parts[count].iov_base = const_cast<char*>(pieces_[i].data() + pieces_[i].offset);
        parts[count].iov_len = static_cast<std::size_t>(pieces_[i].end - pieces_[i].offset);
        tried += parts[count++].iov_len;
      }
      n = stream.writev(parts, count);
    }
    if (n < 0) return n;
    consume(static_cast<std::uint64_t>(n));
    sent += static_cast<std::uint64_t>(n);
    if (!stream.tls() && static_cast<std::uint64_t>(n) < tried) return -EAGAIN;
    if (static_cast<std::uint64_t>(n) >= budget) return -EAGAIN;
    budget -= static_cast<std::uint64_t>(n);
  }
  return 0;
}

void Output::clear() {
  pieces_.clear();
  pieces_.shrink_to_fit();
  first_ = 0;
  size_ = 0;
  memory_ = 0;
}

}  // namespace godwit::http
