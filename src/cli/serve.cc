#include <ostream>

#include "base/log.h"
#include "cli/context.h"
#include "cli/stack.h"

namespace godwit::cli {
namespace {

log::Level levelOf(const std::string& name) {
  if (name == "debug") return log::Level::kDebug;
  if (name == "warn") return log::Level::kWarn;
  return name == "error" ? log::Level::kError : log::Level::kInfo;
}

log::Format formatOf(const Context& context, const kinto::Settings& settings) {
  std::string name = settings.getString("godwit.log_format");
  if (settings.find("godwit.log_format")->origin.kind == OriginKind::kDefault &&
      settings.has("logging_renderer")) {
    bool classic = settings.getString("logging_renderer").find("Classic") != std::string::npos;
    name = classic ? "text" : "json";
  }
  if (name == "json") return log::Format::kJson;
  if (name == "text") return log::Format::kText;
  if (name == "color" || context.in.color == ColorChoice::kAlways) return log::Format::kColor;
  log::Format automatic = log::formatFor(2);
  bool plain = automatic == log::Format::kColor && context.in.color == ColorChoice::kNever;
  return plain ? log::Format::kText : automatic;
}

}  // namespace

int serveCommand(const Context& context) {
  bool kintos = context.in.command == "start";
  auto settings = context.loadSettings(kintos);
  if (!settings) return kExitConfig;
  log::Options options;
  options.level = levelOf(settings->getString("godwit.log_level"));
  options.format = formatOf(context, *settings);
  options.program = "godwit";
  options.gather = options.format == log::Format::kJson;
  log::configure(options);
  for (const std::string& w : settings->warnings()) log::warn("configuration", {{"message", w}});
  if (context.in.reload) {
    log::warn("configuration", {{"message",
                                 "--reload has no effect: godwit-run swaps generations "
                                 "on SIGHUP"}});
  }
  if (context.programs.serve == nullptr) return context.fail("serve", "not part of this build");
  kinto::ServeOptions serving(programVersion());
  std::string control = settings->getString("godwit.status_supervisor");
  std::string agent = settings->getString("godwit.status_agent");
  serving.surroundings = [control, agent](json::Object& out) {
    constexpr std::chrono::milliseconds kPatience{500};
    addSurroundings(control, agent, Deadline::after(kPatience), out);
  };
  auto served = context.programs.serve(*settings, serving);
  if (served.ok()) return kExitOk;
  bool config = served.error().code == ErrorCode::kInvalid;
  return context.fail("serve", reasonOf(served.error()), config ? kExitConfig : kExitFailed);
}

}  // namespace godwit::cli
