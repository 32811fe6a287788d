#include "supervise/config.h"

#include <algorithm>

#include "base/text.h"
#include "supervise/file_text.h"
#include "supervise/option_table.h"
#include "supervise/words.h"

namespace godwit::supervise {
namespace {

constexpr std::size_t kMaxServices = 64;

Error usage(std::string message) { return Error(ErrorCode::kInvalid, std::move(message)); }

struct Given {
  const OptionInfo* option;
  std::string value;
};

// The command line, split into what it says.
struct Line {
  Mode mode = Mode::kRun;
  std::vector<Given> options;
  std::vector<std::string> command;
  bool has_command = false;
};

bool takesMode(Line& out, std::string_view name) {
  static constexpr std::pair<std::string_view, Mode> kModes[] = {
      {"help", Mode::kHelp},
      {"version", Mode::kVersion},
      {"validate", Mode::kValidate},
      {"print-config", Mode::kPrintConfig},
      {"print-state-table", Mode::kPrintStateTable},
      {"print-options", Mode::kPrintOptions},
  };
  for (const auto& [text, mode] : kModes) {
    if (text == name) {
      out.mode = mode;
      return true;
    }
  }
  return false;
}

Result<Line> splitArguments(const std::vector<std::string>& args) {
  Line out;
  for (std::size_t i = 0; i < args.size(); ++i) {
    std::string_view a = args[i];
    auto next = [&]() -> const std::string* {
      return i + 1 < args.size() ? &args[i + 1] : nullptr;
    };
    if (a == "--") {
      out.has_command = true;
      out.command.assign(args.begin() + static_cast<std::ptrdiff_t>(i) + 1, args.end());
      break;
    }
    if (a == "-h") {
      out.mode = Mode::kHelp;
      continue;
    }
    if (a.size() > 2 && a.substr(0, 2) == "--") {
      std::size_t eq = a.find('=');
      std::string_view name = a.substr(2, eq == std::string_view::npos ? eq : eq - 2);
      if (takesMode(out, name)) continue;
      const std::string* following = next();
      // `--check` names a command to run before a start; alone, it asks for a check of the options.
      if (a == "--check" && (!following || following->substr(0, 1) == "-")) {
        out.mode = Mode::kValidate;
        continue;
      }
      const OptionInfo* o = findOption(name);
      if (!o) return usage("unknown option --" + std::string(name) + " (hint: godwit-run --help)");
      if (eq != std::string_view::npos) {
        out.options.push_back({o, std::string(a.substr(eq + 1))});
      } else if (o->argument.empty()) {
        out.options.push_back({o, ""});
      } else {
        if (!following) return usage("--" + std::string(name) + " needs a value");
        out.options.push_back({o, *following});
        ++i;
      }
      continue;
    }
    if (a.size() > 1 && a[0] == '-') {
      for (std::size_t k = 1; k < a.size(); ++k) {
        const OptionInfo* o = findOption(a[k]);
        if (!o)
          return usage("unknown option -" + std::string(1, a[k]) + " (hint: godwit-run --help)");
        if (o->argument.empty()) {
          out.options.push_back({o, ""});
          continue;
        }
        std::string value(a.substr(k + 1));
        if (value.empty()) {
          if (!next()) return usage("-" + std::string(1, a[k]) + " needs a value");
          value = *next();
          ++i;
        }
        out.options.push_back({o, std::move(value)});
        break;
      }
      continue;
    }
    // The first word that is no option begins the command, as in hupwatch.
    out.has_command = true;
    out.command.assign(args.begin() + static_cast<std::ptrdiff_t>(i), args.end());
    break;
  }
  return out;
}

Result<> set(Settings& s, ServiceOptions& service, const OptionInfo& o, std::string_view value) {
  OptionTarget target{s.instance, service, s.warnings};
  if (auto why = o.set(target, value)) {
    // Parsers of whole specs name the option already.
    std::string prefix = "--" + std::string(o.name);
    if (why->substr(0, prefix.size()) == prefix) return usage(*why);
    return usage(prefix + " " + std::string(value) + (value.empty() ? "" : ": ") + *why);
  }
  return {};
}

class FileReader {
 public:
  FileReader(Settings& settings, ServiceOptions& common, std::string name)
      : s_(settings), common_(common), name_(std::move(name)) {}

  Result<> read(std::string_view text) {
    while (!text.empty()) {
      std::size_t eol = text.find('\n');
      std::string_view raw = text.substr(0, eol);
      text = eol == std::string_view::npos ? "" : text.substr(eol + 1);
      ++number_;
      if (auto r = line(trim(raw)); !r.ok()) {
        return usage(name_ + ":" + std::to_string(number_) + ": " + r.error().message);
      }
    }
    return {};
  }

 private:
  Result<> line(std::string_view l) {
    if (l.empty() || l.front() == '#' || l.front() == ';') return {};
    if (l.front() == '[') return section(l);
    std::size_t split = l.find_first_of(" \t=");
    std::string_view key = l.substr(0, split);
    std::string_view value = split == std::string_view::npos ? "" : trim(l.substr(split));
    // "key value", "key = value" and "key=value" mean the same.
    if (!value.empty() && value.front() == '=') value = trim(value.substr(1));
    ServiceOptions& target = inside_ ? s_.services.back() : common_;
    if (key == "command") {
      auto words = splitWords(value);
      if (!words.ok()) return usage("command: " + words.error().message);
      if (words->empty()) return usage("command: must not be empty");
      target.command = std::move(words).value();
      return {};
    }
    const OptionInfo* o = findOption(key);
    if (!o || o->name == "config") return usage("unknown option '" + std::string(key) + "'");
    if (o->instance && inside_) {
      return usage(std::string(key) + " belongs before the first [service]");
    }
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
        value.back() == value.front()) {
      value = value.substr(1, value.size() - 2);
    }
    if (!o->argument.empty() && value.empty()) return usage(std::string(key) + " needs a value");
    return set(s_, target, *o, value);
  }

  Result<> section(std::string_view l) {
    constexpr std::string_view kStart = "[service ";
    if (l.substr(0, kStart.size()) != kStart || l.back() != ']') {
      return usage("expected [service NAME]");
    }
    std::string name(trim(l.substr(kStart.size(), l.size() - kStart.size() - 1)));
    bool good = !name.empty() && name.size() <= 48 &&
                name.find_first_not_of(
                    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                    "0123456789_-.") == std::string::npos;
    if (!good) return usage("bad service name '" + name + "'");
    for (const ServiceOptions& o : s_.services) {
      if (o.name == name) return usage("service " + name + " is there twice");
    }
    if (s_.services.size() >= kMaxServices) return usage("more than 64 services");
    inside_ = true;
    s_.services.push_back(common_);
    s_.services.back().name = name;
    return {};
  }

  Settings& s_;
  ServiceOptions& common_;
  std::string name_;
  int number_ = 0;
  bool inside_ = false;
};

// Soak, and the slots a policy may use, follow from the other options.
Result<> complete(ServiceOptions& s) {
  bool only_delay = !s.ready.empty();
  for (const ReadySpec& r : s.ready) only_delay = only_delay && r.kind == ReadySpec::Kind::kDelay;
  if (only_delay && !s.soak_given) s.policy.soak = kSecond;
  if (s.ready.empty()) s.ready.push_back({});
  s.policy.has_queue = false;
  bool can_probe = false;
  std::vector<std::string> names;
  for (ListenSpec& l : s.listens) {
    if (!l.cutover) l.cutover = s.cutover;
    bool stream = l.kind != ListenKind::kUdp;
    can_probe = can_probe || stream;
    if (l.wantedCutover() == Cutover::kSlots) s.policy.has_queue = true;
    if (std::find(names.begin(), names.end(), l.name) != names.end()) {
      return usage("--listen: the name " + l.name + " is there twice");
    }
    names.push_back(l.name);
  }
  if (s.listens.size() > 64) return usage("--listen: more than 64 sockets");
  for (const ReadySpec& r : s.ready) {
    if (r.isProbe() && !can_probe) {
      return usage("--ready probe needs a --listen that accepts connections");
    }
  }
  if (!s.liveness.path.empty() && !can_probe) {
    return usage("--liveness needs a --listen that accepts connections");
  }
  if (s.policy.soak == kNever && s.policy.canary_percent == 0 && s.listens.empty()) {
    return usage("--soak manual needs a --listen");
  }
  s.policy.slots = std::max(4, s.policy.max_generations + 1);
  // A child that outlives the supervisor must not depend on it to read its stderr.
  if (s.on_death == OnDeath::kLeave) s.capture_stderr = false;
  return {};
}

Result<> checkOrder(const std::vector<ServiceOptions>& services) {
  // Each round settles every service whose predecessors are settled; a round without progress
  // means a circle.
  std::vector<std::string> settled;
  auto known = [](const std::vector<std::string>& names, const std::string& n) {
    return std::find(names.begin(), names.end(), n) != names.end();
  };
  std::vector<std::string> all;
  for (const ServiceOptions& s : services) all.push_back(s.name);
  for (const ServiceOptions& s : services) {
    for (const std::string& a : s.after) {
      if (!known(all, a)) return usage("service " + s.name + ": after " + a + ": no such service");
    }
  }
  while (settled.size() < services.size()) {
    std::size_t before = settled.size();
    for (const ServiceOptions& s : services) {
      if (known(settled, s.name)) continue;
      bool good = std::all_of(s.after.begin(), s.after.end(),
                              [&](const std::string& a) { return known(settled, a); });
      if (good) settled.push_back(s.name);
    }
    if (settled.size() == before) return usage("the `after` of the services form a circle");
  }
  return {};
}

Result<Settings> build(const Line& line, const std::string* config_text) {
  Settings s;
  s.mode = line.mode;
  // Modes that print something fixed need no command and read no file.
  if (s.mode != Mode::kRun && s.mode != Mode::kValidate && s.mode != Mode::kPrintConfig) return s;
  ServiceOptions common;
  for (const Given& g : line.options) {
    if (g.option->name == "config") s.instance.config = g.value;
  }
  if (config_text || !s.instance.config.empty()) {
    std::string text;
    if (config_text) {
      text = *config_text;
    } else {
      auto r = readText(s.instance.config);
      if (!r.ok()) return std::move(r).error();
      text = std::move(r).value();
    }
    GODWIT_TRY(FileReader(s, common, s.instance.config).read(text));
  }
  bool sections = !s.services.empty();
  if (sections && line.has_command) {
    return usage("a command and [service] sections exclude each other");
  }
  if (!sections) s.services.push_back(common);
  // The command line comes last and wins.
  for (const Given& g : line.options) {
    if (g.option->instance) {
      GODWIT_TRY(set(s, s.services.front(), *g.option, g.value));
    } else {
      for (ServiceOptions& service : s.services) GODWIT_TRY(set(s, service, *g.option, g.value));
    }
  }
  if (line.has_command) s.services.front().command = line.command;
  for (ServiceOptions& service : s.services) {
    if (service.command.empty()) {
      return usage(sections ? "service " + service.name + " has no command"
                            : "no command (hint: godwit-run [options] -- command)");
    }
    GODWIT_TRY(complete(service));
  }
  GODWIT_TRY(checkOrder(s.services));
  if (s.instance.name.empty()) s.instance.name = defaultName(s);
  if (s.instance.name.find_first_of("/ \t\n") != std::string::npos) {
    return usage("--name " + s.instance.name + ": must not hold blanks or slashes");
  }
  if (!sections) s.services.front().name = s.instance.name;
  return s;
}

}  // namespace

Result<Settings> readSettings(const std::vector<std::string>& args) {
  auto line = splitArguments(args);
  if (!line.ok()) return std::move(line).error();
  return build(*line, nullptr);
}

Result<Settings> readSettings(const std::vector<std::string>& args, std::string_view config_text) {
  auto line = splitArguments(args);
  if (!line.ok()) return std::move(line).error();
  std::string text(config_text);
  return build(*line, &text);
}

std::string unchangeable(const ServiceOptions& now, const ServiceOptions& wanted) {
  for (const ListenSpec& l : now.listens) {
    auto same = std::find_if(wanted.listens.begin(), wanted.listens.end(),
                             [&](const ListenSpec& w) { return w.name == l.name; });
    if (same == wanted.listens.end()) {
      return "listen " + l.name + " (" + l.address() + ") is gone; only adding takes a reload";
    }
    if (!same->sameSocket(l)) {
      return "listen " + l.name + " changed from " + l.address() + " to " + same->address() +
             "; a changed socket takes a new start";
    }
  }
  return "";
}

std::string defaultName(const Settings& settings) {
  if (settings.services.size() != 1 || !settings.services.front().name.empty()) {
    std::string base = settings.instance.config;
    base = base.substr(base.rfind('/') + 1);
    return base.substr(0, base.rfind('.'));
  }
  const ServiceOptions& s = settings.services.front();
  std::string out = s.command.front();
  out = out.substr(out.rfind('/') + 1);
  std::erase_if(out, [](char c) { return c == ' ' || c == '\t' || c == '\n'; });
  out = out.substr(0, 32);
  if (!s.listens.empty() && s.listens.front().port != 0) {
    return out + "-" + std::to_string(s.listens.front().port);
  }
  // FNV-1a over what makes this command line different from another of the same program.
  std::uint32_t hash = 2166136261U;
  auto mix = [&](const std::string& text) {
    for (char c : text + '\n') hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  };
  for (const std::string& word : s.command) mix(word);
  for (const ListenSpec& l : s.listens) mix(l.address());
  mix(s.cwd);
  static constexpr char kHex[] = "0123456789abcdef";
  out += '-';
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[hash >> shift & 15];
  return out;
}

}  // namespace godwit::supervise
