#include "store/postgresql/params.h"

#include <cstring>
#include <limits>

namespace godwit::store::postgresql {

Params& Params::add(const char* p, std::size_t n, int format) {
  if (values_.empty()) {
    values_.reserve(8);
    lengths_.reserve(8);
    formats_.reserve(8);
  }
  if (n > static_cast<std::size_t>(std::numeric_limits<int>::max() / 2)) representable_ = false;
  if (p && std::memchr(p, 0, n)) representable_ = false;
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
