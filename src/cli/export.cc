#include "cli/move_report.h"
#include "cli/places.h"
#include "cli/progress.h"
#include "ops/file_sink.h"
#include "ops/file_source.h"

namespace godwit::cli {
namespace {

using Steady = std::chrono::steady_clock;

std::chrono::seconds since(Steady::time_point start) {
  return std::chrono::duration_cast<std::chrono::seconds>(Steady::now() - start);
}

// Servers are asked for permissions object by object; once is enough.
Result<ops::Comparison> checkFile(const Context& context, const Place& place,
                                  const std::string& file) {
  auto copy = ops::FileSource::open(file);
  if (!copy.ok()) return std::move(copy).error();
  auto original = openSource(place);
  if (!original.ok()) return std::move(original).error();
  ops::CompareRequest request;
  request.permissions = !context.in.without_permissions && !place.isServer();
  request.live = true;
  Progress progress(context, "checking");
  return ops::compare(**original, **copy, request,
                      [&](auto done, auto total) { progress.update(done, total); });
}

}  // namespace

int exportCommand(const Context& context) {
  auto settings = context.loadSettings(false);
  if (!settings) return kExitConfig;
  const std::string& file = context.in.arguments.front();
  std::string what = "export to " + file;
  auto place = placeOf(context, *settings, context.in.from, context.in.auth);
  if (!place.ok()) return context.fail(what, reasonOf(place.error()));
  auto start = Steady::now();
  auto source = openSource(*place);
  if (!source.ok()) return context.fail(what, reasonOf(source.error()));

  ops::FileSink::Request request;
  request.path = file;
  request.from = shown(*place);
  request.permissions = !context.in.without_permissions;
  request.replace = context.in.yes;
  auto sink = ops::FileSink::open(request);
  if (!sink.ok()) return context.fail(what, reasonOf(sink.error()));
  if ((*sink)->present() > 0) {
    context.say("going on with " + file + ".part: " + std::to_string((*sink)->present()) +
                " rows are there");
  }
  MoveReport done;
  done.verb = "exported";
  done.from = shown(*place);
  done.to = file;
  {
    Progress progress(context, "exporting");
    auto moved = ops::transfer(**source, **sink, request.permissions,
                               [&](auto rows, auto total) { progress.update(rows, total); });
    if (!moved.ok())
      return context.fail(what, reasonOf(moved.error()) + " (hint: run it again, it goes on)");
    done.moved = std::move(*moved);
  }
  sink->reset();
  if (file != "-") {
    auto check = checkFile(context, *place, file);
    if (!check.ok()) return context.fail("check " + file, reasonOf(check.error()));
    done.check = std::move(*check);
  }
  done.took = since(start);
  return report(context, done);
}

namespace {

struct Import {
  std::unique_ptr<ops::Source> source;
  bool permissions = true;
  bool live = false;
};

Result<Import> openImport(const Context& context, const kinto::Settings& settings) {
  const std::string& text = context.in.arguments.front();
  Import in;
  in.permissions = !context.in.without_permissions;
  if (ops::isHttpUrl(text)) {
    auto place = placeOf(context, settings, text, context.in.auth);
    if (!place.ok()) return std::move(place).error();
    auto source = openSource(*place);
    if (!source.ok()) return std::move(source).error();
    in.source = std::move(*source);
    in.live = true;
    return in;
  }
  auto file = ops::FileSource::open(text);
  if (!file.ok()) return std::move(file).error();
  in.permissions = in.permissions && (*file)->hasPermissions();
  in.source = std::move(*file);
  return in;
}

int wouldImport(const Context& context, ops::Source& source, const Place& to) {
  auto lists = source.lists();
  if (!lists.ok()) return context.fail("read " + source.name(), reasonOf(lists.error()));
  std::uint64_t rows = 0;
  for (const ops::List& l : *lists) rows += l.rows;
  context.print("would bring " + std::to_string(rows) + " objects and tombstones of " +
                std::to_string(lists->size()) + " lists from " + source.name() + " to " +
                shown(to));
  return kExitOk;
}

Result<ops::Comparison> checkTarget(const Context& context, const Place& to, Import& in,
                                    ops::Sink& sink) {
  auto copy = openSource(to);
  if (!copy.ok()) return std::move(copy).error();
  ops::CompareRequest request;
  request.permissions = in.permissions;
  request.timestamps = !to.isServer();
  request.live = in.live;
  request.takes = [&](const store::Ref& ref) { return sink.takes(ref); };
  if (auto* api = dynamic_cast<ops::ApiSink*>(&sink)) request.writer = api->api()->user();
  Progress progress(context, "checking");
  return ops::compare(*in.source, **copy, request,
                      [&](auto done, auto total) { progress.update(done, total); });
}

}  // namespace

int importCommand(const Context& context) {
  auto settings = context.loadSettings(false);
  if (!settings) return kExitConfig;
  std::string what = "import " + context.in.arguments.front();
  bool both = ops::isHttpUrl(context.in.arguments.front());
  auto to = placeOf(context, *settings, context.in.to,
                    both || !context.in.to_auth.empty() ? context.in.to_auth : context.in.auth);
  if (!to.ok()) return context.fail(what, reasonOf(to.error()));
  auto start = Steady::now();
  auto in = openImport(context, *settings);
  if (!in.ok()) return context.fail(what, reasonOf(in.error()));
  if (context.in.dry_run) return wouldImport(context, *in->source, *to);
  if (auto made = makeFolder(*settings, context.in.to); !made.ok()) {
    return context.fail(what, reasonOf(made.error()));
  }
  auto sink = openSink(*to);
  if (!sink.ok()) return context.fail(what, reasonOf(sink.error()));
  MoveReport done;
  done.verb = "imported";
  done.from = in->source->name();
  done.to = shown(*to);
  {
    Progress progress(context, "importing");
    auto moved = ops::transfer(*in->source, **sink, in->permissions,
                               [&](auto rows, auto total) { progress.update(rows, total); });
    if (!moved.ok())
      return context.fail(what, reasonOf(moved.error()) + " (hint: run it again, it goes on)");
    done.moved = std::move(*moved);
  }
  auto check = checkTarget(context, *to, *in, **sink);
  if (!check.ok()) return context.fail("check " + done.to, reasonOf(check.error()));
  done.check = std::move(*check);
  done.took = since(start);
  return report(context, done);
}

}  // namespace godwit::cli
