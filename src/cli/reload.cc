#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ostream>

#include "base/unique_fd.h"
#include "cli/stack.h"

namespace godwit::cli {
namespace {

constexpr char kNothingRuns[] = " (hint: godwit up)";

std::string textOf(const json::Value& v, std::string_view key) {
  const json::Value* found = v.get(key);
  return found && found->isString() ? found->asString() : "";
}

}  // namespace

int reloadCommand(const Context& context) {
  auto places = stackPlaces(context);
  if (!places.ok()) return context.fail("reload", places.error().message, kExitUsage);
  auto timeout = parseDuration(context.in.patience);
  if (!timeout) return context.fail("wait " + context.in.patience, "not a duration", kExitUsage);
  json::Value request = json::Value::object();
  request.asObject().set("cmd", "reload");
  request.asObject().set("wait", context.in.wait);
  if (!context.in.arguments.empty()) {
    request.asObject().set("service", context.in.arguments.front());
  }
  auto answer = askSupervisor(places->control, request, Deadline::after(*timeout));
  if (!answer.ok()) {
    bool gone = answer.error().code == ErrorCode::kUnavailable;
    return context.fail("reload", answer.error().message + (gone ? kNothingRuns : ""),
                        gone ? kExitNotReady : kExitFailed);
  }
  if (context.in.json) context.print(json::dump(*answer));
  const json::Value* code = answer->get("code");
  bool good = code && code->toInt() == 0;
  if (std::string error = textOf(*answer, "error"); !error.empty()) {
    return context.fail("reload", error);
  }
  if (const json::Value* results = answer->get("results"); results && results->isArray()) {
    for (const json::Value& r : results->asArray()) {
      const json::Value* generation = r.get("gen");
      std::string line = textOf(r, "service") + ": " + textOf(r, "outcome");
      if (generation) line += ", generation " + std::to_string(generation->toInt().value_or(0));
      std::string detail = textOf(r, "detail");
      if (!detail.empty()) line += ": " + detail;
      context.say(line);
      if (std::string tail = textOf(r, "stderr"); !tail.empty()) context.say(tail);
    }
  }
  if (!good) return context.fail("reload", "what ran before goes on running");
  if (!context.in.wait) context.say("reload begun (hint: --wait says how it ends)");
  return kExitOk;
}

int downCommand(const Context& context) {
  auto places = stackPlaces(context);
  if (!places.ok()) return context.fail("stop", places.error().message, kExitUsage);
  auto timeout = parseDuration(context.in.patience);
  if (!timeout) return context.fail("wait " + context.in.patience, "not a duration", kExitUsage);
  Deadline deadline = Deadline::after(*timeout);
  auto status = tellSupervisor(places->control, "status", deadline);
  if (!status.ok() && status.error().code == ErrorCode::kUnavailable) {
    context.say("nothing runs on " + places->folder);
    return kExitOk;
  }
  if (!status.ok()) return context.fail("stop", status.error().message);
  const json::Value* pid = status->get("pid");
  auto number = static_cast<pid_t>(pid ? pid->toInt().value_or(0) : 0);
  // Held before it is told, so that the number cannot have come to mean another process.
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, number, 0)));
  auto told = tellSupervisor(places->control, "stop", deadline);
  if (!told.ok() && told.error().code != ErrorCode::kUnavailable) {
    return context.fail("stop", told.error().message);
  }
  pollfd p{process.get(), POLLIN, 0};
  while (process && ::poll(&p, 1, deadline.pollTimeoutMs()) <= 0) {
    if (deadline.expired()) {
      return context.fail(
          "stop", "it is still finishing after " + context.in.patience + " (hint: godwit status)");
    }
  }
  context.say("stopped");
  return kExitOk;
}

}  // namespace godwit::cli
