#include "kinto/event_bus.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "json/value.h"

namespace godwit::kinto {
namespace {

bool wants(const EventBus::Filter& filter, const Event& event) {
  auto lists = [](const auto& list, const auto& what) {
    return list.empty() || std::find(list.begin(), list.end(), what) != list.end();
  };
  return lists(filter.actions, event.action) && lists(filter.resources, event.resource->name);
}

void appendMember(std::string& out, std::string_view name, std::string_view value) {
  out += ',';
  json::dumpString(out, name);
  out += ':';
  json::dumpString(out, value);
}

}  // namespace

std::vector<EventGroup> groupEvents(const std::vector<Event>& events) {
  using Key = std::tuple<const Resource*, std::string_view, Action>;
  std::vector<EventGroup> groups;
  std::map<Key, std::size_t> index;
  for (const Event& event : events) {
    auto [it, fresh] =
        index.try_emplace(Key(event.resource, event.parent_id, event.action), groups.size());
    if (fresh) groups.emplace_back();
    groups[it->second].events.push_back(&event);
  }
  return groups;
}

std::string payloadOf(const EventGroup& group) {
  const Event& event = group.first();
  const std::string& resource = event.resource->name;
  std::string_view uri = event.uri;
  // The path of the request, which named the list when it did not name the object.
  if (!event.named) uri = uri.substr(0, uri.rfind('/'));
  std::string out = "{\"timestamp\":" + std::to_string(event.timestamp);
  appendMember(out, "action", toString(event.action));
  appendMember(out, "uri", uri);
  out += ",\"user_id\":";
  if (event.user_id.empty()) {
    out += "null";
  } else {
    json::dumpString(out, event.user_id);
  }
  appendMember(out, "resource_name", resource);
  if (!event.bucket_id.empty()) appendMember(out, "bucket_id", event.bucket_id);
  if (!event.collection_id.empty()) appendMember(out, "collection_id", event.collection_id);
  if (event.named) appendMember(out, resource + "_id", event.object.id);
  return out + "}";
}

void EventBus::subscribe(Filter filter, Heard heard) {
  Subscription s;
  s.filter = std::move(filter);
  s.heard = std::move(heard);
  subscriptions_.push_back(std::move(s));
}

void EventBus::publish(const std::vector<Event>& events) const {
  if (subscriptions_.empty() || events.empty()) return;
  for (const EventGroup& group : groupEvents(events)) {
    for (const Subscription& s : subscriptions_) {
      if (wants(s.filter, group.first())) s.heard(group);
    }
  }
}

}  // namespace godwit::kinto
