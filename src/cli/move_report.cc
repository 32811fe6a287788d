#include "cli/move_report.h"

#include "cli/progress.h"

namespace godwit::cli {
namespace {

json::Value texts(const std::vector<std::string>& all) {
  json::Array array;
  for (const std::string& t : all) array.emplace_back(t);
  return array;
}

json::Value asJson(const ops::Comparison& c) {
  json::Value v = json::Value::object();
  json::Object& o = v.asObject();
  o.set("equal", c.different == 0);
  o.set("rows", c.equal);
  o.set("different", c.different);
  o.set("extra", c.extra);
  o.set("later", c.later);
  o.set("replaced", c.replaced);
  o.set("examples", texts(c.examples));
  return v;
}

json::Value asJson(const MoveReport& r) {
  json::Value v = json::Value::object();
  json::Object& o = v.asObject();
  o.set("from", r.from);
  o.set("to", r.to);
  o.set("lists", r.moved.lists);
  o.set("objects", r.moved.objects);
  o.set("tombstones", r.moved.tombstones);
  o.set("written", r.moved.written);
  o.set("present", r.moved.present);
  o.set("left_out", texts(r.moved.left_out));
  o.set("notes", texts(r.moved.notes));
  o.set("check", r.check ? asJson(*r.check) : json::Value());
  o.set("seconds", static_cast<std::int64_t>(r.took.count()));
  return v;
}

std::string number(std::uint64_t n) { return std::to_string(n); }

void sayCheck(const Context& context, const ops::Comparison& c) {
  for (const std::string& e : c.examples) context.warn(e);
  if (c.different > 0) {
    context.fail("call both sides equal",
                 number(c.different) + " differences, " + number(c.equal) + " rows are equal");
    return;
  }
  std::string line = "checked row by row: " + number(c.equal) + " are equal";
  if (c.later > 0) line += "; " + number(c.later) + " newer ones came meanwhile";
  if (c.replaced > 0) line += "; " + number(c.replaced) + " older states have newer ones";
  if (c.extra > 0) line += "; " + number(c.extra) + " are only on the other side";
  context.say(line);
}

}  // namespace

int report(const Context& context, const MoveReport& r) {
  const ops::TransferReport& m = r.moved;
  std::string line = r.verb + " " + number(m.objects) + " objects and " + number(m.tombstones) +
                     " tombstones of " + number(m.lists) + " lists from " + r.from + " to " + r.to +
                     " in " + clockText(r.took);
  if (m.present > 0) line += " (" + number(m.present) + " were there already)";
  context.say(line);
  if (!m.left_out.empty()) {
    context.warn(number(m.left_out.size()) + " lists were left out, which " + r.to +
                 " cannot take: " + m.left_out.front() + (m.left_out.size() > 1 ? " ..." : ""));
  }
  for (const std::string& n : m.notes) context.warn(n);
  if (r.check) {
    sayCheck(context, *r.check);
  } else {
    context.say("not checked: what was written cannot be read back");
  }
  if (context.in.json && r.to != "-") context.print(json::dump(asJson(r)));
  return r.check && r.check->different > 0 ? kExitDifferent : kExitOk;
}

}  // namespace godwit::cli
