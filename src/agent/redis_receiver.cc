#include "agent/redis_receiver.h"

#include <hiredis/hiredis.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/log.h"
#include "base/random.h"
#include "metrics/wire_json.h"

namespace godwit::agent {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kHeartbeatEvery = 10s;
constexpr std::string_view kHeartbeatTtl = "30";
constexpr auto kBlock = 5s;
constexpr auto kLengthEvery = 1s;
constexpr std::size_t kMaxLegacy = 50'000;

std::string_view textOf(const RedisReply& r) { return {r->str, r->len}; }

}  // namespace

RedisReceiver::RedisReceiver(Log& log, Inlet& inlet, RedisReceiverOptions options)
    : log_(log),
      inlet_(inlet),
      options_(std::move(options)),
      private_key_(options_.inprogress_key + ":" + options_.agent_id),
      heartbeat_key_("godwit_agent:" + options_.agent_id),
      redis_(options_.address),
      former_tail_(tailOfLog()) {}

RedisReceiver::~RedisReceiver() { stop(); }

void RedisReceiver::start() {
  thread_ = std::thread([this] { main(); });
}

void RedisReceiver::stop() {
  if (!stopping_.exchange(true)) {
    std::lock_guard lock(mu_);
    // The blocking pop waits in the server; closing the connection ends it without taking anything
    // that is not in the private list.
    if (fd_ >= 0) ::shutdown(fd_, SHUT_RD);
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

RedisReceiverStats RedisReceiver::stats() const {
  std::lock_guard lock(mu_);
  return stats_;
}

void RedisReceiver::main() {
  int attempt = 0;
  while (!stopping_.load()) {
    Result<> r = session();
    {
      std::lock_guard lock(mu_);
      fd_ = -1;
      if (stats_.up) attempt = 0;
      stats_.up = false;
      if (!r && !stopping_.load()) {
        if (stats_.last_error != r.error().message) {
          log::warn("redis.down", {{"why", r.error().message}});
        }
        stats_.last_error = r.error().message;
        ++stats_.reconnects;
      }
    }
    redis_.disconnect();
    std::unique_lock lock(mu_);
    auto most = std::min<std::chrono::milliseconds>(2s, 100ms * (1 << std::min(attempt++, 5)));
    auto wait =
        std::chrono::milliseconds(50 + randomBelow(static_cast<std::uint64_t>(most.count())));
    wake_.wait_for(lock, wait, [&] { return stopping_.load(); });
  }
}

Result<> RedisReceiver::session() {
  GODWIT_TRY(redis_.connect());
  {
    std::lock_guard lock(mu_);
    fd_ = redis_.fd();
  }
  GODWIT_TRY(noticeRestart());
  next_heartbeat_ = {};
  GODWIT_TRY(heartbeat());
  GODWIT_TRY(recoverOwn());
  {
    std::lock_guard lock(mu_);
    if (!stats_.up) log::info("redis.up", {{"host", options_.address.host}});
    stats_.up = true;
    stats_.last_error.clear();
  }
  bool wait = false;
  while (!stopping_.load()) {
    GODWIT_TRY(heartbeat());
    GODWIT_TRY(nanny());
    std::uint64_t before = stats_.messages;
    GODWIT_TRY(receiveBatch(wait));
    wait = stats_.messages == before;
  }
  return {};
}

// A Redis that came back without its data has lost what it alone held: the queue, and what was
// taken from it and is not in the spool yet. That cannot be undone from here; it is said, with the
// number last seen.
Result<> RedisReceiver::noticeRestart() {
  std::uint64_t now = 0;
  for (const std::string& key : {options_.queue_key, private_key_}) {
    auto length = redis_.command({"LLEN", key});
    if (!length) return length.error();
    now += static_cast<std::uint64_t>(std::max(0LL, (*length)->integer));
  }
  bool restarted = !run_id_.empty() && run_id_ != redis_.runId();
  if (restarted) {
    std::uint64_t lost = last_length_ > now ? last_length_ - now : 0;
    {
      std::lock_guard lock(mu_);
      ++stats_.restarts_seen;
      stats_.lost_suspected += lost;
    }
    log::warn("redis.restarted",
              {{"queued_before", last_length_}, {"queued_now", now}, {"lost_suspected", lost}});
  }
  run_id_ = redis_.runId();
  last_length_ = now;
  return {};
}

Result<> RedisReceiver::heartbeat() {
  auto now = SteadyClock::now();
  if (now < next_heartbeat_) return {};
  next_heartbeat_ = now + kHeartbeatEvery;
  std::string stamp = std::to_string(inlet_.clock().nowNs() / 1'000'000);
  auto r = redis_.command({"SET", heartbeat_key_, stamp, "EX", kHeartbeatTtl});
  if (!r) return r.error();
  return {};
}

std::unordered_set<std::string> RedisReceiver::tailOfLog() const {
  std::unordered_set<std::string> out;
  for (const LanePtr& lane : log_.lanes()) {
    if (lane->role.load() != LaneRole::kPoints) continue;
    // The private list holds one batch at most: it is in the last two segments, if at all.
    auto segments = spool::listSegments(lane->dir);
    if (segments.empty()) continue;
    std::uint64_t first = segments[segments.size() > 2 ? segments.size() - 2 : 0];
    spool::Position from{0, first, spool::kSegmentHeaderSize};
    if (segments.size() <= 2) from = spool::LaneReader::oldest(lane->dir);
    auto reader = spool::LaneReader::open(lane->dir, from);
    if (!reader) continue;
    spool::FrameView f;
    spool::Gap g;
    std::deque<std::string> last;
    for (auto s = reader->next(f, g); s != spool::ReadStatus::kEnd; s = reader->next(f, g)) {
      if (s != spool::ReadStatus::kFrame || f.type != FrameType::kKadabraJson) continue;
      if (f.source != static_cast<std::uint32_t>(Source::kRedis)) continue;
      last.emplace_back(f.payload);
      if (last.size() > options_.batch) last.pop_front();
    }
    for (auto& m : last) out.insert(std::move(m));
  }
  return out;
}

// What a former life of this agent had taken and not removed.
Result<> RedisReceiver::recoverOwn() {
  std::unordered_set<std::string> known;
  bool looked = false;
  while (!stopping_.load()) {
    auto list = redis_.command({"LRANGE", private_key_, "-1024", "-1"});
    if (!list) return list.error();
    if ((*list)->type != REDIS_REPLY_ARRAY || (*list)->elements == 0) return {};
    if (!looked) {
      known = tailOfLog();
      known.merge(former_tail_);
      looked = true;
    }
    std::size_t n = (*list)->elements;
    for (std::size_t i = n; i-- > 0;) {  // the oldest is at the right end
      std::string_view message((*list)->element[i]->str, (*list)->element[i]->len);
      bool duplicate = known.contains(std::string(message));
      if (!duplicate && !append(message)) {
        return {ErrorCode::kLimit, "the spool cannot take more"};
      }
      std::lock_guard lock(mu_);
      ++stats_.recovered;
      stats_.duplicates += duplicate;
    }
    GODWIT_TRY(removeTail(n));
  }
  return {};
}

bool RedisReceiver::append(std::string_view message) {
  std::uint16_t samples = 1;
  bool sound = message.size() <= spool::kMaxPayload && !message.empty();
  if (sound && metrics::parseWireJson(message, scratch_)) {
    samples = static_cast<std::uint16_t>(std::min<std::size_t>(scratch_.sampleCount(), 65535));
  } else {
    std::lock_guard lock(mu_);
    ++stats_.malformed;
  }
  if (message.empty() || message.size() > spool::kMaxPayload) {
    // Longer than any frame: the beginning is kept as evidence.
    message = message.empty() ? std::string_view(" ") : message.substr(0, 65536);
  }
  return inlet_.append(Inlet::LaneName::kPoints, FrameType::kKadabraJson, samples, message,
                       Source::kRedis);
}

Result<> RedisReceiver::removeTail(std::size_t count) {
  std::string n = std::to_string(count);
  if (redis_.version() >= 60200) {
    auto r = redis_.command({"RPOP", private_key_, n});
    if (!r) return r.error();
    return {};
  }
  std::string end = "-" + std::to_string(count + 1);
  auto r = redis_.command({"LTRIM", private_key_, "0", end});
  if (!r) return r.error();
  return {};
}

Result<> RedisReceiver::receiveBatch(bool wait) {
  std::vector<RedisReply> messages;
  bool modern = redis_.version() >= 60200;
  auto now = SteadyClock::now();
  if (now >= next_length_) {
    next_length_ = now + kLengthEvery;
    auto length = redis_.command({"LLEN", options_.queue_key});
    if (!length) return length.error();
    last_length_ = static_cast<std::uint64_t>(std::max(0LL, (*length)->integer));
  }
  if (wait) {
    std::vector<std::string_view> args;
    std::string seconds = "5";
    if (modern) {
      double until =
          std::chrono::duration<double>(std::min(next_nanny_, next_heartbeat_) - now).count();
      seconds = std::to_string(std::clamp(until, 0.05, 5.0));
      args = {"BLMOVE", options_.queue_key, private_key_, "RIGHT", "LEFT", seconds};
    } else {
      args = {"BRPOPLPUSH", options_.queue_key, private_key_, "5"};
    }
    auto r = redis_.command(args, kBlock);
    if (!r) return r.error();
    if ((*r)->type == REDIS_REPLY_STRING) messages.push_back(std::move(*r));
    if (messages.empty()) return {};
  }
  std::size_t asked = std::min(window_, options_.batch);
  for (std::size_t i = 0; i < asked; ++i) {
    if (modern) {
      redis_.append({"LMOVE", options_.queue_key, private_key_, "RIGHT", "LEFT"});
    } else {
      redis_.append({"RPOPLPUSH", options_.queue_key, private_key_});
    }
  }
  for (std::size_t i = 0; i < asked; ++i) {
    auto r = redis_.next();
    if (!r) return r.error();  // what was moved is in the private list: recoverOwn() finds it
    if ((*r)->type == REDIS_REPLY_STRING) messages.push_back(std::move(*r));
    if ((*r) && (*r)->type == REDIS_REPLY_ERROR) {
      return {ErrorCode::kUnavailable, std::string(textOf(*r))};
    }
  }
  window_ = messages.size() >= asked ? std::min(window_ * 4, options_.batch)
                                     : std::max<std::size_t>(16, messages.size());
  if (messages.empty()) return {};
  return spoolAndRemove(messages);
}

Result<> RedisReceiver::spoolAndRemove(std::vector<RedisReply>& messages) {
  std::size_t done = 0;
  for (const RedisReply& m : messages) {
    if (!append(textOf(m))) break;
    ++done;
  }
  // The first ones taken are at the right end.
  if (done > 0) GODWIT_TRY(removeTail(done));
  {
    std::lock_guard lock(mu_);
    stats_.messages += done;
  }
  last_length_ -= std::min<std::uint64_t>(last_length_, done);
  if (done < messages.size()) {
    // The rest stays in the private list until the spool has room again.
    return {ErrorCode::kLimit, "the spool cannot take more"};
  }
  return {};
}

Result<> RedisReceiver::nanny() {
  auto now = SteadyClock::now();
  if (now < next_nanny_) return {};
  next_nanny_ = now + options_.nanny_frequency;
  GODWIT_TRY(reclaimDead());
  if (options_.nanny_threshold.count() > 0) GODWIT_TRY(takeLegacy());
  return {};
}

// Private lists whose agent has no heartbeat any more go back to the queue, oldest first.
Result<> RedisReceiver::reclaimDead() {
  std::string cursor = "0";
  std::string pattern = options_.inprogress_key + ":*";
  std::vector<std::string> lists;
  for (int round = 0; round < 10'000; ++round) {
    auto r = redis_.command({"SCAN", cursor, "MATCH", pattern, "COUNT", "1000"});
    if (!r) return r.error();
    if ((*r)->type != REDIS_REPLY_ARRAY || (*r)->elements != 2) break;
    cursor.assign((*r)->element[0]->str, (*r)->element[0]->len);
    const redisReply* keys = (*r)->element[1];
    for (std::size_t i = 0; i < keys->elements; ++i) {
      lists.emplace_back(keys->element[i]->str, keys->element[i]->len);
    }
    if (cursor == "0") break;
  }
  for (const std::string& list : lists) {
    if (list == private_key_) continue;
    std::string id = list.substr(options_.inprogress_key.size() + 1);
    std::string beat = "godwit_agent:" + id;
    auto alive = redis_.command({"EXISTS", beat});
    if (!alive) return alive.error();
    if ((*alive)->integer != 0) continue;
    std::string claim = "godwit_reclaim:" + id;
    auto won = redis_.command({"SET", claim, options_.agent_id, "NX", "EX", "60"});
    if (!won) return won.error();
    if ((*won)->type == REDIS_REPLY_NIL) continue;  // another agent is at it
    std::uint64_t moved = 0;
    bool modern = redis_.version() >= 60200;
    while (!stopping_.load()) {
      // Newest first, each to the right end: the oldest comes out of the queue first again.
      auto r = modern ? redis_.command({"LMOVE", list, options_.queue_key, "LEFT", "RIGHT"})
                      : redis_.command({"RPOPLPUSH", list, options_.queue_key});
      if (!r) return r.error();
      if ((*r)->type != REDIS_REPLY_STRING) break;
      ++moved;
    }
    auto release = redis_.command({"DEL", claim});
    if (!release) return release.error();
    std::lock_guard lock(mu_);
    stats_.reclaimed += moved;
    log::info("redis.reclaimed", {{"list", list}, {"messages", moved}});
  }
  return {};
}

// The shared list of old agents. An entry that is there at two looks a threshold apart, by our own
// clock, has been abandoned: it is taken out by its bytes, then spooled.
Result<> RedisReceiver::takeLegacy() {
  auto now = SteadyClock::now();
  std::string from = "-" + std::to_string(options_.nanny_limit);
  auto list = redis_.command({"LRANGE", options_.inprogress_key, from, "-1"});
  if (!list) return list.error();
  if ((*list)->type != REDIS_REPLY_ARRAY) return {};
  for (auto& [message, s] : legacy_) s.current = false;
  std::vector<std::string> due;
  for (std::size_t i = (*list)->elements; i-- > 0;) {
    std::string message((*list)->element[i]->str, (*list)->element[i]->len);
    auto it = legacy_.find(message);
    if (it == legacy_.end()) {
      if (legacy_.size() < kMaxLegacy) legacy_[message] = {now, true};
      continue;
    }
    it->second.current = true;
    if (now - it->second.first >= options_.nanny_threshold) due.push_back(message);
  }
  for (const std::string& message : due) {
    // Through the private list, so that a crash in between loses nothing.
    redis_.append({"MULTI"});
    redis_.append({"LREM", options_.inprogress_key, "-1", message});
    redis_.append({"LPUSH", private_key_, message});
    redis_.append({"EXEC"});
    RedisReply last;
    for (int i = 0; i < 4; ++i) {
      auto r = redis_.next();
      if (!r) return r.error();
      last = std::move(*r);
    }
    bool removed =
        last->type == REDIS_REPLY_ARRAY && last->elements == 2 && last->element[0]->integer == 1;
    if (!removed) {
      // Somebody else finished it between the look and the grip: take our copy back.
      auto r = redis_.command({"LREM", private_key_, "1", message});
      if (!r) return r.error();
      continue;
    }
    if (!append(message)) return {ErrorCode::kLimit, "the spool cannot take more"};
    auto r = redis_.command({"LREM", private_key_, "1", message});
    if (!r) return r.error();
    std::lock_guard lock(mu_);
    ++stats_.legacy_taken;
  }
  std::erase_if(legacy_, [](const auto& e) { return !e.second.current; });
  return {};
}

}  // namespace godwit::agent
