#include "store/postgresql/params.h"

#include <cstring>
#include <limits>

namespace godwit::store::postgresql {

namespace {

// Types and their numbers in the server's catalogue, which are the same in every server.
constexpr std::uint32_t kBigint = 20;
constexpr std::uint32_t kText = 25;
constexpr std::uint32_t kJsonb = 3802;
constexpr char kNoPrefix = 0;
constexpr char kJsonbVersion = 1;

template <class Int>
void putBig(std::string& out, Int n) {
  for (int shift = static_cast<int>(sizeof n) * 8 - 8; shift >= 0; shift -= 8) {
    out += static_cast<char>(static_cast<unsigned char>(n >> shift));
  }
}

// Of one dimension without NULLs; its elements follow, each behind its length.
void putArrayHead(std::string& out, std::uint32_t type, std::size_t n) {
  putBig(out, std::uint32_t{n > 0});
  putBig(out, std::uint32_t{0});
  putBig(out, type);
  if (n == 0) return;
  putBig(out, static_cast<std::uint32_t>(n));
  putBig(out, std::uint32_t{1});
}

}  // namespace

Params& Params::strings(std::uint32_t type, char prefix,
                        const std::vector<std::string_view>& items) {
  std::size_t extra = prefix == kNoPrefix ? 0 : 1;
  std::size_t size = 20;
  for (auto item : items) size += 4 + extra + item.size();
  std::string& out = owned_.emplace_back();
  out.reserve(size);
  putArrayHead(out, type, items.size());
  for (auto item : items) {
    if (item.find('\0') != std::string_view::npos) representable_ = false;
    putBig(out, static_cast<std::uint32_t>(item.size() + extra));
    if (extra > 0) out += prefix;
    out += item;
  }
  return push(out.data(), out.size(), 1);
}

Params& Params::texts(const std::vector<std::string_view>& items) {
  return strings(kText, kNoPrefix, items);
}

Params& Params::documents(const std::vector<std::string_view>& items) {
  return strings(kJsonb, kJsonbVersion, items);
}

Params& Params::integers(const std::vector<std::int64_t>& items) {
  std::string& out = owned_.emplace_back();
  out.reserve(20 + items.size() * 12);
  putArrayHead(out, kBigint, items.size());
  for (auto n : items) {
    putBig(out, std::uint32_t{sizeof n});
    putBig(out, static_cast<std::uint64_t>(n));
  }
  return push(out.data(), out.size(), 1);
}

Params& Params::add(const char* p, std::size_t n, int format) {
  if (p && std::memchr(p, 0, n)) representable_ = false;
  return push(p, n, format);
}

Params& Params::push(const char* p, std::size_t n, int format) {
  if (values_.empty()) {
    values_.reserve(8);
    lengths_.reserve(8);
    formats_.reserve(8);
  }
  if (n > static_cast<std::size_t>(std::numeric_limits<int>::max() / 2)) representable_ = false;
  // libpq takes a null pointer for SQL NULL; an empty view may carry one.
  values_.push_back(p || n > 0 || format == 0 ? p : "");
  lengths_.push_back(static_cast<int>(n));
  formats_.push_back(format);
  return *this;
}

Params& Params::ownText(std::string s) {
  owned_.push_back(std::move(s));
  return text(owned_.back());
}

Params& Params::ownJson(std::string s) {
  owned_.push_back(std::move(s));
  return json(owned_.back());
}

Params& Params::integer(std::int64_t n) {
  owned_.push_back(std::to_string(n));
  return add(owned_.back().c_str(), owned_.back().size(), 0);
}

Params& Params::array(const std::vector<std::string>& items) {
  std::string out = "{";
  for (const auto& item : items) {
    if (item.find('\0') != std::string::npos) representable_ = false;
    if (out.size() > 1) out += ',';
    out += '"';
    for (char c : item) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  out += '}';
  owned_.push_back(std::move(out));
  return add(owned_.back().c_str(), owned_.back().size(), 0);
}

void Params::keep() {
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (!values_[i]) continue;
    owned_.emplace_back(values_[i], static_cast<std::size_t>(lengths_[i]));
    values_[i] = owned_.back().c_str();
  }
}

}  // namespace godwit::store::postgresql
