#include "agent/stream_target.h"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <thread>

#include "agent/streams_receiver.h"

namespace godwit::agent {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kEntryBytes = 256 * 1024;
constexpr std::size_t kEntryFrames = 1000;
constexpr auto kPoll = 10ms;    // an acknowledgement has no event to wait for
constexpr auto kAskAgain = 5s;  // then look whether the entries still exist

}  // namespace

StreamTarget::StreamTarget(const Section& s)
    : stream_(s.text("stream")), max_length_(s.text("max_length")), redis_(redisAddress(s)) {}

// The frame travels as it is; an aggregate or a frame of lines is offered in parts, but goes once.
void StreamTarget::addFrame(const FrameRef& frame, std::uint32_t samples, Batch& batch) {
  if (!batch.units.empty() && batch.units.back().lane == frame.lane &&
      batch.units.back().seq == frame.seq) {
    batch.units.back().samples += samples;
    // n_samples in the header copied below follows.
    auto n = static_cast<std::uint16_t>(std::min<std::uint32_t>(batch.units.back().samples, 65535));
    std::size_t at = batch.units.back().offset + 22;
    batch.body[at] = static_cast<char>(n & 0xFF);
    batch.body[at + 1] = static_cast<char>(n >> 8);
    return;
  }
  std::size_t offset = batch.body.size();
  StreamFrame f;
  f.seq = frame.seq;
  f.type = frame.type;
  f.n_samples = static_cast<std::uint16_t>(std::min<std::uint32_t>(samples, 65535));
  f.payload = frame.payload;
  putStreamFrame(batch.body, f);
  batch.units.push_back({static_cast<std::uint32_t>(offset),
                         static_cast<std::uint32_t>(batch.body.size() - offset), samples, 0,
                         frame.lane, frame.seq});
}

void StreamTarget::addMetrics(const metrics::Metrics& m, std::uint32_t, const FrameRef& frame,
                              Batch& batch) {
  addFrame(frame, static_cast<std::uint32_t>(m.sampleCount()), batch);
}

void StreamTarget::addLine(std::string_view, std::uint32_t, const FrameRef& frame, Batch& batch) {
  addFrame(frame, 1, batch);
}

Result<bool> StreamTarget::acknowledged(
    const std::vector<std::pair<std::string, std::uint64_t>>& wanted) {
  std::vector<std::string_view> args{"HMGET", kStreamAcked};
  for (const auto& [lane, seq] : wanted) args.push_back(lane);
  auto r = redis_.command(args);
  if (!r) return std::move(r).error();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const redisReply* e = (*r)->element[i];
    std::uint64_t have = e->type == REDIS_REPLY_STRING ? std::strtoull(e->str, nullptr, 10) : 0;
    if (have < wanted[i].second) return false;
  }
  return true;
}

Outcome StreamTarget::send(const Batch& batch, std::size_t first, std::size_t last) {
  Outcome o;
  if (auto r = redis_.connect(); !r) {
    o.unreachable = true;
    o.message = r.error().message;
    return o;
  }
  // Lanes in turn, each in order. `base`: everything before its first frame here is done already.
  std::map<LaneId, std::vector<std::size_t>> lanes;
  for (std::size_t i = first; i < last; ++i) lanes[batch.units[i].lane].push_back(i);
  std::size_t commands = 0;
  std::vector<std::pair<std::string, std::uint64_t>> wanted;
  for (const auto& [id, units] : lanes) {
    std::string lane = laneText(id);
    std::string base = std::to_string(batch.units[units.front()].seq - 1);
    std::uint64_t next = batch.units[units.front()].seq;
    for (std::size_t i = 0; i < units.size();) {
      std::string bytes;
      std::size_t n = 0;
      std::uint64_t end = next;
      while (i < units.size() && n < kEntryFrames && (n == 0 || bytes.size() < kEntryBytes)) {
        const Unit& u = batch.units[units[i]];
        bytes += std::string_view(batch.body).substr(u.offset, u.size);
        end = u.seq;
        ++n;
        ++i;
      }
      std::string q = std::to_string(next);
      std::string e = std::to_string(end);
      redis_.append({"XADD", stream_, "MAXLEN", "~", max_length_, "*", "p", lane, "q", q, "e", e,
                     "a", base, "b", bytes});
      ++commands;
      next = end + 1;
    }
    wanted.emplace_back(lane, next - 1);
  }
  std::string last_id;
  for (std::size_t i = 0; i < commands; ++i) {
    auto r = redis_.next();
    if (!r || (*r)->type == REDIS_REPLY_ERROR) {
      o.message = r ? std::string((*r)->str, (*r)->len) : r.error().message;
      if (r) continue;
      return o;
    }
    last_id.assign((*r)->str, (*r)->len);
  }
  if (!o.message.empty()) return o;

  auto ask_again = std::chrono::steady_clock::now() + kAskAgain;
  while (!aborted_.load()) {
    auto done = acknowledged(wanted);
    if (!done) {
      o.message = done.error().message;
      return o;  // all of it again: the receiver knows what it has
    }
    if (*done) {
      o.kind = Outcome::Kind::kOk;
      return o;
    }
    if (std::chrono::steady_clock::now() >= ask_again) {
      ask_again += kAskAgain;
      auto r = redis_.command({"XRANGE", stream_, last_id, last_id});
      if (!r || (*r)->elements == 0) {
        o.message = r ? "the stream has lost entries that nobody had taken" : r.error().message;
        return o;
      }
    }
    std::this_thread::sleep_for(kPoll);
  }
  o.kind = Outcome::Kind::kAborted;
  return o;
}

}  // namespace godwit::agent
