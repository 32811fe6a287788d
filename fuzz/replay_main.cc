// Feeds the files below the given paths to a fuzz target, and each file's prefixes and single-byte
// changes as well: without a fuzzer that is the cheapest way to be near what one would find.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t kVariants = 200;  // of each kind and file

void feed(const std::string& bytes) {
  // A copy of exactly that size, so that a sanitizer sees every byte read too far.
  const std::vector<std::uint8_t> exact(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

void feedAround(const std::string& bytes) {
  feed(bytes);
  const std::size_t step = bytes.size() / kVariants + 1;
  for (std::size_t i = 0; i < bytes.size(); i += step) {
    feed(bytes.substr(0, i));
    for (const int change : {0x01, 0x80, 0xff}) {
      std::string other = bytes;
      other[i] = static_cast<char>(other[i] ^ change);
      feed(other);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t files = 0;
  for (int i = 1; i < argc; ++i) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i], ignored)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      feedAround(std::string(std::istreambuf_iterator<char>(in), {}));
      ++files;
    }
  }
  feed("");
  std::printf("%zu files replayed\n", files);
  return files > 0 ? 0 : 1;  // an empty corpus tests nothing
}
