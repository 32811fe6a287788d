#include "ops/doctor.h"

#include "cli/context.h"
#include "json/value.h"

namespace godwit::cli {
namespace {

const char* nameOf(ops::Level level) {
  switch (level) {
    case ops::Level::kOk:
      return "ok";
    case ops::Level::kNote:
      return "note";
    case ops::Level::kWarning:
      return "warning";
    case ops::Level::kProblem:
      break;
  }
  return "problem";
}

void printJson(const Context& context, const ops::Findings& findings, bool good) {
  json::Array array;
  for (const ops::Finding& f : findings) {
    json::Value v = json::Value::object();
    v.asObject().set("level", nameOf(f.level));
    v.asObject().set("check", f.check);
    v.asObject().set("text", f.text);
    v.asObject().set("fix", f.fix.empty() ? json::Value() : json::Value(f.fix));
    array.push_back(std::move(v));
  }
  json::Value all = json::Value::object();
  all.asObject().set("ok", good);
  all.asObject().set("findings", std::move(array));
  context.print(json::dump(all));
}

void printText(const Context& context, const ops::Findings& findings) {
  for (const ops::Finding& f : findings) {
    std::string level = nameOf(f.level);
    level.resize(8, ' ');
    context.print((f.level == ops::Level::kProblem ? context.bold(level) : level) + " " + f.check +
                  ": " + f.text);
    if (!f.fix.empty()) context.print("         " + context.dim("fix: ") + f.fix);
  }
}

}  // namespace

int doctorCommand(const Context& context) {
  ops::Findings findings;
  auto settings = kinto::Settings::load(context.settingsInput(false));
  if (!settings.ok()) {
    findings.push_back({ops::Level::kProblem, "configuration", settings.error().message,
                        "godwit config check, godwit config explain KEY"});
  } else {
    ops::examineConfig(*settings, findings);
    ops::examineFiles(*settings, findings);
    ops::examineStore(*settings, findings);
  }
  ops::examineKernel(findings);
  ops::examineClock(findings);
  std::size_t problems = 0;
  std::size_t warnings = 0;
  for (const ops::Finding& f : findings) {
    problems += f.level == ops::Level::kProblem ? 1 : 0;
    warnings += f.level == ops::Level::kWarning ? 1 : 0;
  }
  if (context.in.json) {
    printJson(context, findings, problems == 0);
  } else {
    printText(context, findings);
  }
  context.say(std::to_string(findings.size()) + " findings, " + std::to_string(warnings) +
              " warnings, " + std::to_string(problems) + " problems");
  return problems == 0 ? kExitOk : kExitFindings;
}

}  // namespace godwit::cli
