#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kinto/event.h"

namespace godwit::kinto {

// What one transaction did of one kind to one list, which listeners hear of as one event. The first
// of `events` speaks for all.
struct EventGroup {
  std::vector<const Event*> events;

  [[nodiscard]] const Event& first() const { return *events.front(); }
};

// In the order of the first event of each. Views into `events`.
std::vector<EventGroup> groupEvents(const std::vector<Event>& events);

// Kinto's event: {"timestamp","action","uri","user_id","resource_name", and the ids of the path}.
std::string payloadOf(const EventGroup& group);

// Tells subscribers what has been committed. Subscriptions are made while the App is; afterwards it
// is immutable and used by all loop threads at once.
class EventBus {
 public:
  struct Filter {
    std::vector<Action> actions;         // empty: all
    std::vector<std::string> resources;  // by name; empty: all
  };
  // Loop thread; must not wait. The group's events live until it returns.
  using Heard = std::function<void(const EventGroup&)>;

  void subscribe(Filter filter, Heard heard);
  [[nodiscard]] bool idle() const { return subscriptions_.empty(); }

  // Once `events` are durable, in the order in which they were made.
  void publish(const std::vector<Event>& events) const;

 private:
  struct Subscription {
    Filter filter;
    Heard heard;
  };
  std::vector<Subscription> subscriptions_;
};

}  // namespace godwit::kinto
