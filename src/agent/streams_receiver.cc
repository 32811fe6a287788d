#include "agent/streams_receiver.h"

#include <hiredis/hiredis.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"

namespace godwit::agent {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxLanes = 100'000;

// Moves the mark of a lane, and of ranges that came out of order, as one step for all agents.
constexpr std::string_view kAckScript = R"(
local cur = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
local base, first, last = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if base > cur then cur = base end
if first <= cur + 1 then
  if last > cur then cur = last end
else
  redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
  redis.call('EXPIRE', KEYS[2], 86400)
end
local nxt = redis.call('HGET', KEYS[2], string.format('%.0f', cur + 1))
while nxt do
  redis.call('HDEL', KEYS[2], string.format('%.0f', cur + 1))
  if tonumber(nxt) > cur then cur = tonumber(nxt) end
  nxt = redis.call('HGET', KEYS[2], string.format('%.0f', cur + 1))
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', cur))
return 1
)";

std::string textOf(const redisReply* r) {
  return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS
             ? std::string(r->str, r->len)
             : std::string();
}
std::uint64_t numberOf(const std::string& s) { return std::strtoull(s.c_str(), nullptr, 10); }

}  // namespace

StreamsReceiver::StreamsReceiver(Inlet& inlet, StreamsOptions options)
    : inlet_(inlet), options_(std::move(options)), redis_(options_.address) {}

StreamsReceiver::~StreamsReceiver() { stop(); }

void StreamsReceiver::start() {
  thread_ = std::thread([this] { main(); });
}

void StreamsReceiver::stop() {
  if (!stopping_.exchange(true)) {
    std::lock_guard lock(mu_);
    if (fd_ >= 0) ::shutdown(fd_, SHUT_RD);
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

StreamsStats StreamsReceiver::stats() const {
  std::lock_guard lock(mu_);
  return stats_;
}

void StreamsReceiver::main() {
  while (!stopping_.load()) {
    Result<> r = session();
    {
      std::lock_guard lock(mu_);
      fd_ = -1;
      stats_.up = false;
      if (!r && !stopping_.load()) {
        if (stats_.last_error != r.error().message) {
          log::warn("streams.down", {{"why", r.error().message}});
        }
        stats_.last_error = r.error().message;
      }
    }
    redis_.disconnect();
    std::unique_lock lock(mu_);
    wake_.wait_for(lock, 500ms, [&] { return stopping_.load(); });
  }
}

Result<> StreamsReceiver::session() {
  GODWIT_TRY(redis_.connect());
  {
    std::lock_guard lock(mu_);
    fd_ = redis_.fd();
  }
  auto made =
      redis_.command({"XGROUP", "CREATE", options_.stream, options_.group, "0", "MKSTREAM"});
  if (!made && !made.error().message.starts_with("BUSYGROUP")) return made.error();
  asked_.clear();  // another agent may have gone on with these lanes: ask again
  // First what a former life of this consumer had been given.
  for (std::size_t got = 1; got > 0 && !stopping_.load();) GODWIT_TRY(read("0", false, got));
  {
    std::lock_guard lock(mu_);
    stats_.up = true;
    stats_.last_error.clear();
  }
  next_claim_ = {};
  while (!stopping_.load()) {
    auto now = std::chrono::steady_clock::now();
    if (now >= next_claim_) {
      next_claim_ = now + std::min<std::chrono::nanoseconds>(10s, options_.claim_after);
      GODWIT_TRY(claim());
      GODWIT_TRY(trim());
    }
    std::size_t got = 0;
    GODWIT_TRY(read(">", true, got));
  }
  return {};
}

std::vector<StreamsReceiver::Entry> StreamsReceiver::parseEntries(const redisReply* list) {
  std::vector<Entry> out;
  if (list->type != REDIS_REPLY_ARRAY) return out;
  for (std::size_t i = 0; i < list->elements; ++i) {
    const redisReply* e = list->element[i];
    if (e->type != REDIS_REPLY_ARRAY || e->elements != 2) continue;
    Entry entry;
    entry.id = textOf(e->element[0]);
    const redisReply* fields = e->element[1];
    // A pending entry whose body has been trimmed away.
    entry.gone = fields->type != REDIS_REPLY_ARRAY;
    unsigned have = 0;
    for (std::size_t k = 0; !entry.gone && k + 1 < fields->elements; k += 2) {
      std::string name = textOf(fields->element[k]);
      std::string value = textOf(fields->element[k + 1]);
      if (name == "p") {
        entry.lane = value;
        have |= 1;
      } else if (name == "q") {
        entry.first = numberOf(value);
        have |= 2;
      } else if (name == "e") {
        entry.last = numberOf(value);
        have |= 4;
      } else if (name == "a") {
        entry.base = numberOf(value);
      } else if (name == "b") {
        entry.bytes = std::move(value);
        have |= 8;
      }
    }
    entry.sound = have == 15 && !entry.lane.empty() && entry.lane.size() <= 64 && entry.first > 0 &&
                  entry.first <= entry.last;
    out.push_back(std::move(entry));
  }
  return out;
}

Result<> StreamsReceiver::read(std::string_view from, bool block, std::size_t& got) {
  std::vector<std::string_view> args{"XREADGROUP",      "GROUP", options_.group,
                                     options_.agent_id, "COUNT", "256"};
  if (block) args.insert(args.end(), {"BLOCK", "5000"});
  args.insert(args.end(), {"STREAMS", options_.stream, from});
  auto r = redis_.command(args, block ? 5s : 0s);
  if (!r) return r.error();
  got = 0;
  if ((*r)->type != REDIS_REPLY_ARRAY || (*r)->elements == 0) return {};
  const redisReply* stream = (*r)->element[0];
  if (stream->type != REDIS_REPLY_ARRAY || stream->elements != 2) return {};
  auto entries = parseEntries(stream->element[1]);
  got = entries.size();
  return process(entries);
}

Result<> StreamsReceiver::process(std::vector<Entry>& entries) {
  for (const Entry& e : entries) {
    if (e.gone) {
      auto r = redis_.command({"XACK", options_.stream, options_.group, e.id});
      if (!r) return r.error();
      std::lock_guard lock(mu_);
      ++stats_.gone;
      continue;
    }
    if (!e.sound) {
      {
        std::lock_guard lock(mu_);
        ++stats_.malformed;
      }
      GODWIT_TRY(bury(e));
      continue;
    }
    GODWIT_TRY(spool(e));
    GODWIT_TRY(acknowledge(e));
    std::lock_guard lock(mu_);
    ++stats_.entries;
  }
  return {};
}

Result<> StreamsReceiver::spool(const Entry& e) {
  if (seen_.size() >= kMaxLanes) {
    seen_.clear();
    asked_.clear();
  }
  auto it = seen_.try_emplace(e.lane).first;
  if (!asked_.contains(e.lane)) {
    // What we know ourselves stays: a Redis that restarted empty has forgotten it.
    auto r = redis_.command({"HGET", kStreamAcked, e.lane});
    if (!r) return r.error();
    std::uint64_t acked = numberOf(textOf(r->get()));
    it->second.cover(acked, acked + 1, acked);
    asked_.insert(e.lane);
  }
  SeenFrames& seen = it->second;
  std::string_view rest = e.bytes;
  StreamFrame f;
  while (nextStreamFrame(rest, f)) {
    bool known = f.type == FrameType::kMetrics || f.type == FrameType::kKadabraJson ||
                 f.type == FrameType::kAggregate || f.type == kFrameLines;
    bool sound = known && !f.payload.empty() && f.payload.size() <= metrics::spool::kMaxPayload &&
                 f.seq >= e.first && f.seq <= e.last;
    if (!sound) {
      std::lock_guard lock(mu_);
      ++stats_.malformed;
      continue;
    }
    if (!seen.take(f.seq)) {
      std::lock_guard lock(mu_);
      ++stats_.duplicates;
      continue;
    }
    if (!inlet_.append(Inlet::LaneName::kPoints, f.type, f.n_samples, f.payload,
                       Source::kStreams)) {
      // Taken in memory but not in the spool: forget the lane, Redis knows how far it really is.
      asked_.erase(e.lane);
      seen_.erase(it);
      return {ErrorCode::kLimit, "the spool cannot take more"};
    }
    std::lock_guard lock(mu_);
    ++stats_.frames;
  }
  seen.cover(e.base, e.first, e.last);
  return {};
}

// Spooled, so: first the mark the sender waits for, then the entry.
Result<> StreamsReceiver::acknowledge(const Entry& e) {
  std::string base = std::to_string(e.base);
  std::string first = std::to_string(e.first);
  std::string last = std::to_string(e.last);
  std::string beyond = std::string(kStreamAcked) + ":" + e.lane;
  redis_.append({"EVAL", kAckScript, "2", kStreamAcked, beyond, e.lane, base, first, last});
  redis_.append({"XACK", options_.stream, options_.group, e.id});
  for (int i = 0; i < 2; ++i) {
    auto r = redis_.next();
    if (!r) return r.error();
    if ((*r)->type == REDIS_REPLY_ERROR) {
      return {ErrorCode::kUnavailable, std::string((*r)->str, (*r)->len)};
    }
  }
  return {};
}

Result<> StreamsReceiver::bury(const Entry& e) {
  auto r = redis_.command(
      {"XADD", "godwit:dead", "MAXLEN", "~", "10000", "*", "id", e.id, "p", e.lane, "b", e.bytes});
  if (!r) return r.error();
  r = redis_.command({"XACK", options_.stream, options_.group, e.id});
  if (!r) return r.error();
  std::lock_guard lock(mu_);
  ++stats_.dead;
  return {};
}

// Entries of consumers that have not been heard of.
Result<> StreamsReceiver::claim() {
  if (redis_.version() < 60200) return {};  // XAUTOCLAIM came with 6.2
  std::string cursor = "0-0";
  std::string idle = std::to_string(options_.claim_after / 1ms);
  for (int round = 0; round < 1000 && !stopping_.load(); ++round) {
    auto r = redis_.command({"XAUTOCLAIM", options_.stream, options_.group, options_.agent_id, idle,
                             cursor, "COUNT", "100"});
    if (!r) return r.error();
    if ((*r)->type != REDIS_REPLY_ARRAY || (*r)->elements < 2) return {};
    cursor = textOf((*r)->element[0]);
    auto entries = parseEntries((*r)->element[1]);
    std::vector<Entry> fine;
    for (Entry& e : entries) {
      auto pending = redis_.command({"XPENDING", options_.stream, options_.group, e.id, e.id, "1"});
      if (!pending) return pending.error();
      const redisReply* p = pending->get();
      bool tired = p->type == REDIS_REPLY_ARRAY && p->elements == 1 &&
                   p->element[0]->elements == 4 &&
                   p->element[0]->element[3]->integer > options_.max_deliveries;
      if (tired && !e.gone) {
        GODWIT_TRY(bury(e));
      } else {
        fine.push_back(std::move(e));
      }
    }
    {
      std::lock_guard lock(mu_);
      stats_.claimed += fine.size();
      if ((*r)->elements > 2) stats_.gone += (*r)->element[2]->elements;
    }
    GODWIT_TRY(process(fine));
    if (cursor == "0-0") return {};
  }
  return {};
}

// What everybody has acknowledged need not stay.
Result<> StreamsReceiver::trim() {
  auto r = redis_.command({"XPENDING", options_.stream, options_.group});
  if (!r) return r.error();
  std::string min;
  if ((*r)->type == REDIS_REPLY_ARRAY && (*r)->elements >= 2) min = textOf((*r)->element[1]);
  if (min.empty()) {
    auto groups = redis_.command({"XINFO", "GROUPS", options_.stream});
    if (!groups) return groups.error();
    // Other groups may be behind: then nothing is trimmed here.
    if ((*groups)->type != REDIS_REPLY_ARRAY || (*groups)->elements != 1) return {};
    const redisReply* g = (*groups)->element[0];
    for (std::size_t i = 0; i + 1 < g->elements; i += 2) {
      if (textOf(g->element[i]) == "last-delivered-id") min = textOf(g->element[i + 1]);
    }
  }
  if (min.empty() || redis_.version() < 60200) return {};
  r = redis_.command({"XTRIM", options_.stream, "MINID", "~", min});
  if (!r) return r.error();
  return {};
}

}  // namespace godwit::agent
