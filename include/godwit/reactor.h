#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "godwit/deadline.h"
#include "godwit/job.h"

namespace godwit {

// One event-loop thread, as seen by layers that own none (store, auth). net implements it.
class Reactor {
 public:
  static constexpr unsigned kReadable = 1;
  static constexpr unsigned kWritable = 2;

  // Destroying it ends the watch or cancels the timer. Loop thread only.
  class Handle {
   public:
    virtual ~Handle() = default;
  };
  class FdWatch : public Handle {
   public:
    // Which of kReadable|kWritable to report; 0 pauses. Level-triggered. Loop thread only.
    virtual void want(unsigned events) = 0;
  };

  virtual ~Reactor() = default;

  // 0-based number of this loop among the program's loops.
  [[nodiscard]] virtual std::size_t index() const = 0;
  [[nodiscard]] virtual bool onThread() const = 0;
  // Runs `job` on the loop thread, after what it is doing now. Any thread.
  virtual void post(Job job) = 0;
  // `fd` stays the caller's and must outlive the watch. Starts with want(0). Loop thread only.
  virtual std::unique_ptr<FdWatch> watch(int fd, std::function<void(unsigned)> ready) = 0;
  // Fires once, at or after `when` (coarse: up to a few ms late). Loop thread only.
  virtual std::unique_ptr<Handle> timer(Deadline when, Job job) = 0;
};

}  // namespace godwit
