#pragma once

#include <span>
#include <string_view>

namespace godwit::kinto {

struct Label {
  std::string_view name;
  std::string_view value;
};
using Labels = std::span<const Label>;

// Where measurements of the server go. Keys are dotted ("backend.memory.seconds"); each service
// makes of them what its format asks for. Any thread; never blocks, never fails.
class MetricsService {
 public:
  virtual ~MetricsService() = default;
  virtual void count(std::string_view key, double n, Labels labels) = 0;
  virtual void observe(std::string_view key, double value, Labels labels) = 0;
  virtual void time(std::string_view key, double seconds, Labels labels) = 0;
};

}  // namespace godwit::kinto
