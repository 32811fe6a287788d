#include "agent/dead_commands.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "agent/dead_letters.h"
#include "agent/ledger.h"
#include "base/encoding.h"
#include "base/os_error.h"
#include "metrics/lane_reader.h"
#include "metrics/spool_writer.h"
#include "metrics/time_format.h"

namespace godwit::agent {
namespace {

std::vector<std::string> listDir(const std::string& dir) {
  std::vector<std::string> out;
  DIR* d = ::opendir(dir.c_str());
  if (!d) return out;
  while (const dirent* e = ::readdir(d)) {
    std::string name = e->d_name;
    if (name[0] != '.' && !name.ends_with(".tmp")) out.push_back(name);
  }
  ::closedir(d);
  std::sort(out.begin(), out.end());
  return out;
}

bool plainName(const std::string& s) {
  return !s.empty() && s.find('/') == std::string::npos && s[0] != '.';
}

std::string printable(std::string_view s, std::size_t most) {
  std::string out;
  bool text = isValidUtf8(s);
  for (char c : s.substr(0, most)) {
    auto u = static_cast<unsigned char>(c);
    if (u >= 0x80 && !text) {
      out += "\\x" + toHex({&u, 1});
      continue;
    }
    out += u < 0x20 || u == 0x7F ? (c == '\n' ? ' ' : '.') : c;
  }
  // Not through the middle of a character.
  while (text && s.size() > most && !out.empty() &&
         (static_cast<unsigned char>(s[most]) & 0xC0) == 0x80) {
    --most;
    out.pop_back();
  }
  if (s.size() > most) out += "…";
  return out;
}

std::string timeText(std::int64_t ns) {
  std::string out;
  metrics::appendTime(out, "%Y-%m-%dT%H:%M:%SZ", ns);
  return out;
}

// The wanted ids; empty and `all`: every letter.
Result<std::set<std::pair<std::uint64_t, std::uint64_t>>> wanted(
    const std::vector<std::string>& words, bool& all) {
  std::set<std::pair<std::uint64_t, std::uint64_t>> ids;
  all = false;
  for (std::size_t i = 3; i < words.size(); ++i) {
    DeadId id;
    if (words[i] == "all") {
      all = true;
    } else if (parseDeadId(words[i], id)) {
      ids.insert({id.file, id.offset});
    } else {
      return Error(ErrorCode::kInvalid, "not the id of a letter: " + words[i]);
    }
  }
  if (ids.empty() && !all) {
    return Error(ErrorCode::kInvalid, "which ones? (hint: an id of `dead ls`, or all)");
  }
  return ids;
}

std::string list(const std::string& dir, const std::string& publisher) {
  std::string out;
  readDeadLetters(dir, [&](DeadId id, const DeadLetter& d) {
    out += publisher + "\t" + deadIdText(id) + "\t" + timeText(d.time_ns) + "\t" +
           std::to_string(d.samples) + "\t" + printable(d.reason, 120) + "\t" +
           printable(d.payload, 80) + "\n";
    return true;
  });
  return out;
}

Result<std::string> requeue(const std::string& spool, const std::string& dir,
                            const std::string& publisher,
                            const std::function<bool(DeadId)>& chosen) {
  namespace ms = metrics::spool;
  ms::WriterOptions options;
  options.dir = spool;
  options.helper_thread = false;
  ms::SpoolWriter writer(options, metrics::StampClock::system());
  std::set<std::pair<std::uint64_t, std::uint64_t>> done;
  std::string problem;
  readDeadLetters(dir, [&](DeadId id, const DeadLetter& d) {
    if (!chosen(id)) return true;
    std::string frame = encodeRequeued(publisher, d.type, d.payload);
    if (frame.size() > ms::kMaxPayload) {
      problem = deadIdText(id) + " is too large";
      return true;
    }
    auto n = static_cast<std::uint16_t>(std::min<std::uint32_t>(d.samples, 65535));
    auto status =
        writer.append(kFrameRequeued, n, frame, static_cast<std::uint32_t>(Source::kRequeue));
    if (status != ms::AppendStatus::kSpooled) {
      problem = "the spool cannot take more";
      return false;
    }
    done.insert({id.file, id.offset});
    return true;
  });
  writer.close();
  // A crash before this line leaves the letters in both places: they come again, which a database
  // that overwrites does not notice.
  auto dropped = dropDeadLetters(dir, [&](DeadId id, const DeadLetter&) {
    return done.contains({id.file, id.offset});
  });
  if (!dropped) return std::move(dropped).error();
  if (!problem.empty()) return Error(ErrorCode::kLimit, problem);
  return "requeued " + std::to_string(done.size()) + "\n";
}

}  // namespace

Result<std::string> deadCommand(const std::string& spool, const std::vector<std::string>& words) {
  std::string verb = words.size() > 1 ? words[1] : "";
  if (verb == "ls") {
    std::string out;
    for (const auto& publisher : listDir(spool + "/dead")) {
      if (words.size() > 2 && words[2] != publisher) continue;
      out += list(spool + "/dead/" + publisher, publisher);
    }
    return out;
  }
  if (verb != "show" && verb != "requeue" && verb != "drop") {
    return Error(ErrorCode::kInvalid, "dead needs ls, show, requeue or drop (hint: --help)");
  }
  if (words.size() < 3 || !plainName(words[2])) {
    return Error(ErrorCode::kInvalid, "dead " + verb + " needs the name of a publisher");
  }
  std::string dir = spool + "/dead/" + words[2];
  if (::access(dir.c_str(), R_OK) != 0) {
    return Error(ErrorCode::kNotFound, "no letters for " + words[2]);
  }
  bool all = false;
  auto ids = wanted(words, all);
  if (!ids) return std::move(ids).error();
  auto chosen = [&](DeadId id) { return all || ids->contains({id.file, id.offset}); };
  if (verb == "show") {
    std::string out;
    readDeadLetters(dir, [&](DeadId id, const DeadLetter& d) {
      if (!chosen(id)) return true;
      char lane[40];
      std::snprintf(lane, sizeof lane, "%016llx%016llx", static_cast<unsigned long long>(d.lane.hi),
                    static_cast<unsigned long long>(d.lane.lo));
      out += "id:      " + deadIdText(id) + "\ntime:    " + timeText(d.time_ns) +
             "\nlane:    " + lane + " frame " + std::to_string(d.seq) + " part " +
             std::to_string(d.index) + "\nsamples: " + std::to_string(d.samples) +
             "\ntype:    " + std::to_string(static_cast<int>(d.type)) + "\nreason:  " + d.reason +
             "\n\n" + printable(d.payload, 1u << 20) + "\n\n";
      return true;
    });
    return out;
  }
  if (verb == "requeue") return requeue(spool, dir, words[2], chosen);
  auto dropped = dropDeadLetters(dir, [&](DeadId id, const DeadLetter&) { return chosen(id); });
  if (!dropped) return std::move(dropped).error();
  return "dropped " + std::to_string(*dropped) + "\n";
}

Result<std::string> cursorCommand(const std::string& spool, const std::vector<std::string>& words) {
  namespace ms = metrics::spool;
  std::string verb = words.size() > 1 ? words[1] : "";
  if (verb != "ls" && verb != "rm") {
    return Error(ErrorCode::kInvalid, "cursor needs ls or rm (hint: --help)");
  }
  auto describe = [&](const std::string& name) {
    Places places;
    Counts counts;
    fromEntries(ms::CursorFile::read(spool + "/cursors/" + name), places, counts);
    std::uint64_t frames = 0, bytes = 0;
    for (const auto& lane : ms::listLanes(spool)) {
      std::string dir = spool + "/lanes/" + lane;
      auto reader = ms::LaneReader::open(dir);
      if (!reader) continue;
      ms::FrameView f;
      ms::Gap g;
      bool statsd =
          reader->next(f, g) == ms::ReadStatus::kFrame && roleOf(f.type) == LaneRole::kStatsd;
      if (statsd) continue;  // read by the aggregation, not by publishers
      auto it = places.find(reader->id());
      std::uint64_t seq = it == places.end() ? 0 : it->second.position.seq;
      std::uint64_t seg = it == places.end() ? 0 : it->second.position.seg;
      auto all = reader->account().frames;
      frames += all > seq ? all - seq : 0;
      for (auto s : ms::listSegments(dir)) {
        struct stat st {};
        bool pinned = s >= seg && ::stat((dir + "/" + ms::segmentName(s)).c_str(), &st) == 0;
        bytes += pinned ? static_cast<std::uint64_t>(st.st_blocks) * 512 : 0;
      }
    }
    return name + "\tpublished " + std::to_string(counts.published) + "\tdead " +
           std::to_string(counts.dead) + "\tdropped " + std::to_string(counts.droppedTotal()) +
           "\tbehind " + std::to_string(frames) + " frames\tpins " + std::to_string(bytes) +
           " bytes\n";
  };
  if (verb == "ls") {
    std::string out;
    for (const auto& name : listDir(spool + "/cursors")) out += describe(name);
    return out;
  }
  if (words.size() != 3 || !plainName(words[2])) {
    return Error(ErrorCode::kInvalid, "cursor rm needs the name of a cursor (hint: cursor ls)");
  }
  std::string path = spool + "/cursors/" + words[2];
  if (::access(path.c_str(), F_OK) != 0) {
    return Error(ErrorCode::kNotFound, "no cursor " + words[2]);
  }
  std::string out = describe(words[2]);
  if (::unlink(path.c_str()) != 0) return osError("remove " + path);
  return out + "removed\n";
}

}  // namespace godwit::agent
