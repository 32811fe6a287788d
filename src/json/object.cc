#include <algorithm>
#include <bit>
#include <limits>

#include "json/key_hash.h"
#include "json/value.h"

namespace godwit::json {
namespace {

constexpr std::size_t kIndexAbove = 16;  // members; below, comparing them all is cheaper
constexpr std::uint32_t kEmpty = std::numeric_limits<std::uint32_t>::max();

}  // namespace

// Open addressing, linear probing, at most half full. Slots hold positions in members_.
struct Object::Index {
  std::vector<std::uint32_t> slots;

  explicit Index(std::size_t members) : slots(std::bit_ceil(members * 4), kEmpty) {}

  void add(std::string_view key, std::size_t position) {
    std::size_t mask = slots.size() - 1;
    std::size_t i = detail::keyHash(key) & mask;
    while (slots[i] != kEmpty) i = (i + 1) & mask;
    slots[i] = static_cast<std::uint32_t>(position);
  }
  [[nodiscard]] std::size_t find(std::string_view key, const std::vector<Member>& members) const {
    std::size_t mask = slots.size() - 1;
    for (std::size_t i = detail::keyHash(key) & mask; slots[i] != kEmpty; i = (i + 1) & mask) {
      if (members[slots[i]].first == key) return slots[i];
    }
    return members.size();
  }
};

Object::Object() = default;
Object::Object(const Object& other)
    : members_(other.members_),
      index_(other.index_ ? std::make_unique<Index>(*other.index_) : nullptr) {}
Object::Object(Object&& other) noexcept
    : members_(std::move(other.members_)), index_(std::move(other.index_)) {
  other.members_.clear();
}
Object& Object::operator=(const Object& other) {
  if (this != &other) *this = Object(other);
  return *this;
}
Object& Object::operator=(Object&& other) noexcept {
  members_ = std::move(other.members_);
  index_ = std::move(other.index_);
  return *this;
}
Object::~Object() = default;

std::size_t Object::position(std::string_view key) const {
  if (index_) return index_->find(key, members_);
  std::size_t i = 0;
  while (i < members_.size() && members_[i].first != key) ++i;
  return i;
}

void Object::reindex() {
  if (members_.size() <= kIndexAbove) {
    index_.reset();
    return;
  }
  index_ = std::make_unique<Index>(members_.size());
  for (std::size_t i = 0; i < members_.size(); ++i) index_->add(members_[i].first, i);
}

const Value* Object::find(std::string_view key) const {
  std::size_t i = position(key);
  return i < members_.size() ? &members_[i].second : nullptr;
}

Value* Object::find(std::string_view key) {
  std::size_t i = position(key);
  return i < members_.size() ? &members_[i].second : nullptr;
}

Value& Object::set(std::string key, Value value) {
  std::size_t i = position(key);
  if (i < members_.size()) {
    members_[i].second = std::move(value);
    return members_[i].second;
  }
  members_.emplace_back(std::move(key), std::move(value));
  if (index_ && members_.size() * 2 <= index_->slots.size()) {
    index_->add(members_.back().first, i);
  } else if (members_.size() > kIndexAbove) {
    reindex();
  }
  return members_.back().second;
}

bool Object::erase(std::string_view key) {
  std::size_t i = position(key);
  if (i == members_.size()) return false;
  members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(i));
  reindex();
  return true;
}

std::size_t Object::eraseIf(const std::function<bool(const Member&)>& drop) {
  std::size_t before = members_.size();
  members_.erase(std::remove_if(members_.begin(), members_.end(), drop), members_.end());
  if (members_.size() != before) reindex();
  return before - members_.size();
}

void Object::reserve(std::size_t members) { members_.reserve(members); }

}  // namespace godwit::json
