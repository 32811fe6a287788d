#include "store/copy.h"

#include <chrono>

#include "cli/context.h"
#include "cli/places.h"
#include "cli/progress.h"
#include "json/value.h"
#include "store/copy_source.h"

namespace godwit::cli {
namespace {

constexpr std::chrono::hours kLongest{24};

int wouldCopy(const Context& context, const Place& from, const Place& to) {
  auto source = store::openCopySource(from.url, Deadline::after(kLongest));
  if (!source.ok()) return context.fail("read " + shown(from), reasonOf(source.error()));
  auto lists = (*source)->lists();
  if (!lists.ok()) return context.fail("read " + shown(from), reasonOf(lists.error()));
  std::uint64_t rows = 0;
  for (const auto& l : *lists) rows += l.rows;
  context.print("would copy " + std::to_string(rows) + " objects and tombstones of " +
                std::to_string(lists->size()) + " lists from " + shown(from) + " to " + shown(to));
  return kExitOk;
}

json::Value asJson(const store::CopyReport& r) {
  json::Array differences;
  for (const std::string& d : r.differences) differences.emplace_back(d);
  json::Value v = json::Value::object();
  json::Object& o = v.asObject();
  o.set("lists", r.lists);
  o.set("objects", r.objects);
  o.set("tombstones", r.tombstones);
  o.set("entries", r.entries);
  o.set("skipped", r.skipped);
  o.set("equal", r.differences.empty());
  o.set("differences", std::move(differences));
  return v;
}

}  // namespace

int copyCommand(const Context& context) {
  if (context.in.from.empty() && context.in.to.empty()) {
    return context.fail("copy", "neither --from nor --to is given", kExitUsage);
  }
  auto settings = context.loadSettings(false);
  if (!settings) return kExitConfig;
  auto from = placeOf(context, *settings, context.in.from, "");
  if (!from.ok()) return context.fail("copy", reasonOf(from.error()), kExitUsage);
  auto to = placeOf(context, *settings, context.in.to, "");
  if (!to.ok()) return context.fail("copy", reasonOf(to.error()), kExitUsage);
  if (from->isServer() || to->isServer()) {
    return context.fail("copy", "a server is no store (hint: godwit export, godwit import)",
                        kExitUsage);
  }
  if (from->url == to->url) return context.fail("copy", "both are the same store", kExitUsage);
  if (context.in.dry_run) return wouldCopy(context, *from, *to);
  if (auto made = makeFolder(*settings, context.in.to); !made.ok()) {
    return context.fail("copy", reasonOf(made.error()));
  }
  store::CopyRequest request;
  request.from = from->url;
  request.to = to->url;
  std::optional<Result<store::CopyReport>> copied;
  {
    Progress progress(context, "copying");
    copied = store::copyStore(request, Deadline::after(kLongest),
                              [&](const auto& p) { progress.update(p.done, p.total); });
  }
  if (!copied->ok()) {
    return context.fail("copy from " + shown(*from) + " to " + shown(*to),
                        reasonOf(copied->error()) + " (hint: run it again, it goes on)");
  }
  const store::CopyReport& r = **copied;
  context.say("copied " + std::to_string(r.objects) + " objects, " + std::to_string(r.tombstones) +
              " tombstones and " + std::to_string(r.entries) +
              " entries of permissions and groups of " + std::to_string(r.lists) + " lists from " +
              shown(*from) + " to " + shown(*to) +
              (r.skipped > 0 ? " (" + std::to_string(r.skipped) + " were there already)" : ""));
  if (context.in.json) context.print(json::dump(asJson(r)));
  if (r.differences.empty()) {
    context.say("checked: counts, timestamps and hashes of every list are equal");
    return kExitOk;
  }
  for (const std::string& d : r.differences) context.warn(d);
  return context.fail("call both stores equal",
                      std::to_string(r.differences.size()) + " differences", kExitDifferent);
}

}  // namespace godwit::cli
