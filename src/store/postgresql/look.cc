#include "store/postgresql/look.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <unordered_map>

#include "json/text.h"
#include "store/postgresql/sql.h"

namespace godwit::store::postgresql {

namespace {

struct ObjectKey {
  std::string_view id;
  std::string_view parent;
  std::string_view resource;
  bool operator==(const ObjectKey&) const = default;
};

struct ObjectKeyHash {
  std::size_t operator()(const ObjectKey& k) const {
    std::hash<std::string_view> hash;
    return hash(k.id) * 31 + hash(k.parent) * 7 + hash(k.resource);
  }
};

ObjectKey keyOf(const Ref& ref, const std::string& id) { return {id, ref.parent, ref.resource}; }

bool representable(const std::optional<Ref>& ref) {
  return !ref ||
         (postgresql::representable(ref->parent) && postgresql::representable(ref->resource));
}

}  // namespace

bool representable(const LoadSpec& spec) {
  auto ok = [](const std::string& s) { return representable(s); };
  return ok(spec.user) && ok(spec.id) && ok(spec.above_id) && representable(spec.ref) &&
         representable(spec.above) && std::all_of(spec.uris.begin(), spec.uris.end(), ok);
}

Params Gathering::params() {
  std::unordered_map<std::string_view, std::uint32_t> texts[2];
  std::unordered_map<ObjectKey, std::uint32_t, ObjectKeyHash> objects;
  std::vector<std::string_view> users;
  std::vector<std::string_view> uris;
  std::vector<std::string_view> ids;
  std::vector<std::string_view> parents;
  std::vector<std::string_view> resources;
  auto text = [&](Kind kind, std::string_view key, std::vector<std::string_view>& all) {
    auto [it, first] = texts[kind].try_emplace(key, static_cast<std::uint32_t>(all.size()));
    if (first) all.push_back(key);
    numbers_.push_back(it->second);
  };
  auto object = [&](const Ref& ref, const std::string& id) {
    ObjectKey key = keyOf(ref, id);
    auto [it, first] = objects.try_emplace(key, static_cast<std::uint32_t>(ids.size()));
    if (first) {
      ids.push_back(key.id);
      parents.push_back(key.parent);
      resources.push_back(key.resource);
    }
    numbers_.push_back(it->second);
  };
  for (const auto& m : members_) {
    const LoadSpec& spec = m->look->spec;
    starts_.push_back(numbers_.size());
    if (!spec.user.empty()) {
      text(kUser, spec.user, users);
      text(kUser, kAuthenticated, users);
    }
    for (const auto& uri : spec.uris) text(kUri, uri, uris);
    if (spec.ref) object(*spec.ref, spec.id);
    if (spec.above) object(*spec.above, spec.above_id);
  }
  sizes_[kUser] = users.size();
  sizes_[kUri] = uris.size();
  sizes_[kObject] = ids.size();
  Params p;
  p.texts(users).texts(uris).texts(ids).texts(parents).texts(resources);
  return p;
}

// The rows of a reply, found by kind and number of the key they answer.
struct Gathering::Rows {
  static constexpr int kNone = -1;
  const Reply& reply;
  std::vector<int> first[kKinds];
  std::vector<int> next;
  std::vector<std::string> documents;  // of the objects, once somebody wanted them

  Rows(const Reply& r, const std::size_t (&sizes)[kKinds]) : reply(r), documents(sizes[kObject]) {
    for (std::size_t k = 0; k < kKinds; ++k) first[k].assign(sizes[k], kNone);
    next.assign(static_cast<std::size_t>(reply.rows()), kNone);
    for (int row = reply.rows() - 1; row >= 0; --row) {
      char c = reply.text(row, 0).front();
      Kind kind = c == 'g' ? kUser : c == 'a' ? kUri : kObject;
      int& head = first[kind][static_cast<std::size_t>(reply.int8(row, 1)) - 1];
      next[static_cast<std::size_t>(row)] = std::exchange(head, row);
    }
  }
  [[nodiscard]] int after(int row) const { return next[static_cast<std::size_t>(row)]; }

  void groups(std::uint32_t user, std::vector<std::string>& out) const {
    for (int row = first[kUser][user]; row != kNone; row = after(row)) {
      // A group may hold both the user and everybody who is logged in.
      if (std::find(out.begin(), out.end(), reply.text(row, 2)) == out.end()) {
        out.emplace_back(reply.text(row, 2));
      }
    }
  }
  void aces(std::uint32_t number, const std::string& uri, std::vector<Ace>& out) const {
    for (int row = first[kUri][number]; row != kNone; row = after(row)) {
      Ace& ace = out.emplace_back();
      ace.uri = uri;
      ace.permission = reply.text(row, 2);
      ace.principal = reply.text(row, 3);
    }
  }
  void object(std::uint32_t number, const std::string& id, std::optional<Object>& out,
              std::optional<std::int64_t>& at) {
    int row = first[kObject][number];
    if (row == kNone) return;
    std::string& document = documents[number];
    if (document.empty()) json::canonicalTo(document, reply.jsonb(row, 4));
    Object& made = out.emplace();
    made.id = id;
    made.data = document;
    made.last_modified = reply.millis(row, 5);
    at = reply.micros(row, 5);
  }
};

void Gathering::share(const Reply& reply) const {
  Rows rows(reply, sizes_);
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const Command& member = *members_[i];
    if (member.done) continue;  // too late: its asker is gone, and the look with it
    const std::uint32_t* number = numbers_.data() + starts_[i];
    Look& look = *member.look;
    const LoadSpec& spec = look.spec;
    if (!spec.user.empty()) {
      rows.groups(*number++, look.loaded.groups);
      rows.groups(*number++, look.loaded.groups);
    }
    for (const auto& uri : spec.uris) rows.aces(*number++, uri, look.loaded.aces);
    if (spec.ref) rows.object(*number++, spec.id, look.loaded.object, look.at);
    if (spec.above) rows.object(*number++, spec.above_id, look.loaded.above, look.above_at);
  }
}

CommandPtr gather(std::vector<CommandPtr> members, Catalog& catalog) {
  Deadline latest = members.front()->deadline;
  for (const auto& m : members) {
    if (m->deadline.when() > latest.when()) latest = m->deadline;
  }
  auto gathering = std::make_shared<Gathering>(std::move(members));
  auto command = std::make_shared<Command>(catalog.get(sql::kLook), gathering->params(), latest);
  command->gathering = std::move(gathering);
  return command;
}

}  // namespace godwit::store::postgresql
