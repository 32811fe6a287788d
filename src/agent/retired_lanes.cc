#include "agent/retired_lanes.h"

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <vector>

#include "agent/files.h"
#include "base/log.h"

namespace godwit::agent {

void LaneSums::add(bool statsd, const spool::LaneInfo& a) {
  (statsd ? statsd_frames : points_frames) += a.frames;
  (statsd ? statsd_samples : points_samples) += a.samples;
  for (std::size_t i = 0; i < spool::kDropReasons; ++i) {
    client_drops.frames[i] += a.dropped_frames[i];
    client_drops.samples[i] += a.dropped_samples[i];
  }
}

RetiredLanes RetiredLanes::load(const std::string& spool_dir) {
  RetiredLanes r;
  r.dir_ = spool_dir;
  auto text = readFile(spool_dir + "/agent/retired");
  if (!text) return r;
  std::string_view rest = *text;
  // The second line names the lane whose removal had begun when this was written.
  if (std::size_t nl = rest.find('\n'); nl != std::string_view::npos) {
    std::string name(rest.substr(nl + 1));
    rest = rest.substr(0, nl);
    while (!name.empty() && name.back() == '\n') name.pop_back();
    if (!name.empty() && name.find('/') == std::string::npos) {
      std::error_code ignored;
      std::filesystem::remove_all(spool_dir + "/lanes/" + name, ignored);
    }
  }
  std::vector<std::uint64_t> v;
  while (!rest.empty()) {
    std::size_t n = rest.find_first_of(" \n");
    v.push_back(std::strtoull(std::string(rest.substr(0, n)).c_str(), nullptr, 10));
    rest.remove_prefix(n == std::string_view::npos ? rest.size() : n + 1);
  }
  v.resize(4 + 2 * spool::kDropReasons);
  r.sums_.points_frames = v[0];
  r.sums_.points_samples = v[1];
  r.sums_.statsd_frames = v[2];
  r.sums_.statsd_samples = v[3];
  for (std::size_t i = 0; i < spool::kDropReasons; ++i) {
    r.sums_.client_drops.frames[i] = v[4 + i];
    r.sums_.client_drops.samples[i] = v[4 + spool::kDropReasons + i];
  }
  return r;
}

bool RetiredLanes::add(const std::string& lane_name, bool statsd, const spool::LaneInfo& account) {
  LaneSums next = sums_;
  next.add(statsd, account);
  std::string text;
  auto put = [&](std::uint64_t v) { text += std::to_string(v) + " "; };
  put(next.points_frames);
  put(next.points_samples);
  put(next.statsd_frames);
  put(next.statsd_samples);
  for (auto v : next.client_drops.frames) put(v);
  for (auto v : next.client_drops.samples) put(v);
  text.back() = '\n';
  text += lane_name + "\n";
  if (auto r = writeFileDurably(dir_ + "/agent/retired", text); !r) {
    log::warn("spool.retired", {{"error", r.error().message}, {"detail", r.error().detail}});
    return false;
  }
  sums_ = next;
  return true;
}

}  // namespace godwit::agent
