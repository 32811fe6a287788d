#include "base/random.h"

#include <pthread.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "base/encoding.h"

namespace godwit {
namespace {

// A fork copies the buffer; the child must not repeat the parent's ids.
std::atomic<unsigned> g_fork_generation{0};

struct Pool {
  std::array<unsigned char, 512> bytes{};
  std::size_t used = bytes.size();
  unsigned generation = 0;
};

void fill(std::span<unsigned char> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    ssize_t n = ::getrandom(out.data() + done, out.size() - done, 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      std::abort();  // no kernel we run on lacks getrandom; going on would mean guessable ids
    }
    done += static_cast<std::size_t>(n);
  }
}

Pool& pool() {
  static const int registered =
      pthread_atfork(nullptr, nullptr, [] { g_fork_generation.fetch_add(1); });
  (void)registered;
  thread_local Pool p;
  return p;
}

}  // namespace

void randomBytes(std::span<unsigned char> out) {
  Pool& p = pool();
  unsigned generation = g_fork_generation.load(std::memory_order_relaxed);
  if (p.generation != generation) {
    p.generation = generation;
    p.used = p.bytes.size();
  }
  if (out.size() > p.bytes.size() / 2) return fill(out);
  if (p.bytes.size() - p.used < out.size()) {
    fill(p.bytes);
    p.used = 0;
  }
  std::memcpy(out.data(), p.bytes.data() + p.used, out.size());
  std::memset(p.bytes.data() + p.used, 0, out.size());
  p.used += out.size();
}

std::uint64_t randomU64() {
  std::array<unsigned char, 8> b{};
  randomBytes(b);
  std::uint64_t v = 0;
  std::memcpy(&v, b.data(), sizeof v);
  return v;
}

std::uint64_t randomBelow(std::uint64_t bound) {
  // Rejection keeps the result uniform.
  const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  for (;;) {
    std::uint64_t v = randomU64();
    if (v < limit) return v % bound;
  }
}

std::string uuid4() {
  std::array<unsigned char, 16> b{};
  randomBytes(b);
  b[6] = static_cast<unsigned char>((b[6] & 0x0f) | 0x40);
  b[8] = static_cast<unsigned char>((b[8] & 0x3f) | 0x80);
  std::string hex = toHex(b);
  std::string out;
  out.reserve(36);
  for (std::size_t i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) out += '-';
    out += hex[i];
  }
  return out;
}

std::string randomHex(std::size_t bytes) {
  std::string raw(bytes, '\0');
  randomBytes({reinterpret_cast<unsigned char*>(raw.data()), raw.size()});
  return toHex({reinterpret_cast<const unsigned char*>(raw.data()), raw.size()});
}

std::string randomName(std::size_t length) {
  static constexpr char kAlphabet[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
  std::string out(length, '\0');
  for (std::size_t i = 0; i < length; ++i) out[i] = kAlphabet[randomBelow(i == 0 ? 62 : 64)];
  return out;
}

}  // namespace godwit
