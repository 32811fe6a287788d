// Publishers and receivers: made as the settings say, and made anew when the settings change.
#include "agent/agent.h"
#include "agent/cumulative_publisher.h"
#include "agent/delivery.h"
#include "base/log.h"

namespace godwit::agent {

Result<std::unique_ptr<Publisher>> Agent::makePublisher(const Section& s) {
  TargetContext context;
  if (config_.section("agent").flag("add_host")) context.host = host_;
  context.agent_id = agent_id_;
  if (s.text("type") == "prometheus" || s.text("type") == "otlp") {
    CumulativeOptions c = cumulativeOptions(s, context);
    c.state_path = spool_path_ + "/agent/" + s.name() + ".state";
    c.cursor_path = spool_path_ + "/cursors/" + s.name();
    c.dead_dir = spool_path_ + "/dead/" + s.name();
    c.dead_max_bytes = config_.section("spool").size("dead_max_bytes");
    return CumulativePublisher::open(*log_, std::move(c));
  }
  DeliveryOptions o;
  o.name = s.name();
  o.cursor_path = spool_path_ + "/cursors/" + s.name();
  o.dead_dir = spool_path_ + "/dead/" + s.name();
  o.dead_max_bytes = config_.section("spool").size("dead_max_bytes");
  o.batch_units = static_cast<std::size_t>(s.integer("batch"));
  o.batch_bytes = static_cast<std::size_t>(s.size("batch_bytes"));
  o.linger = s.duration("linger");
  o.retry_max = s.duration("retry_max");
  o.required = s.flag("required");
  auto target = makeTarget(s, context);
  if (!target) {
    return Error(ErrorCode::kInvalid, "[publisher:" + s.name() + "]: unknown type");
  }
  return Delivery::open(*log_, std::move(o), std::move(target));
}

Result<> Agent::openPublishers() {
  for (const auto& [name, section] : config_.publishers()) {
    if (!section.flag("enabled")) {
      // Its cursor goes on pinning the log, unless it is not required.
      log_->addConsumer(name, LaneRole::kPoints, section.flag("required"));
      continue;
    }
    auto p = makePublisher(section);
    if (!p) return std::move(p).error();
    publishers_[name] = {std::move(p).value(), section.fingerprint(), section.text("type")};
  }
  return {};
}

std::unique_ptr<RedisReceiver> Agent::makeRedis() {
  const Section& s = config_.section("redis");
  RedisReceiverOptions o;
  o.address = redisAddress(s);
  o.agent_id = agent_id_;
  o.queue_key = s.text("queue_key");
  o.inprogress_key = s.text("inprogress_key");
  o.batch = static_cast<std::size_t>(s.integer("batch"));
  o.nanny_frequency = s.duration("nanny_frequency");
  o.nanny_threshold = s.duration("nanny_threshold");
  o.nanny_limit = static_cast<std::size_t>(s.integer("nanny_limit"));
  return std::make_unique<RedisReceiver>(*log_, *inlet_, o);
}

std::unique_ptr<StreamsReceiver> Agent::makeStreams() {
  const Section& s = config_.section("streams");
  StreamsOptions o;
  o.address = redisAddress(s);
  o.agent_id = agent_id_;
  o.stream = s.text("stream");
  o.group = s.text("group");
  o.claim_after = s.duration("claim_after");
  o.max_deliveries = s.integer("max_deliveries");
  return std::make_unique<StreamsReceiver>(*inlet_, o);
}

Result<> Agent::openReceivers() {
  const Section& h = config_.section("http");
  ingest_ = std::make_unique<Ingest>(*inlet_, h.text("token"),
                                     static_cast<std::size_t>(h.size("max_body")));
  statsd_ = std::make_unique<StatsdServer>(loop_, *inlet_);
  GODWIT_TRY(statsd_->open(config_.section("statsd"), inherited_));
  http_ = std::make_unique<HttpServer>(loop_, [this](HttpRequest& r) { return handle(r); });
  GODWIT_TRY(http_->open(h, inherited_));
  resp_ = std::make_unique<RespServer>(loop_, *inlet_);
  return resp_->open(config_.section("resp"), inherited_);
}

void Agent::reloadPublishers(const Config& old) {
  bool host_changed = old.section("agent").fingerprint() != config_.section("agent").fingerprint();
  for (auto it = publishers_.begin(); it != publishers_.end();) {
    auto wanted = config_.publishers().find(it->first);
    bool keep = wanted != config_.publishers().end() && wanted->second.flag("enabled") &&
                wanted->second.fingerprint() == it->second.fingerprint && !host_changed;
    if (keep) {
      ++it;
      continue;
    }
    it->second.publisher->stop();
    if (wanted == config_.publishers().end()) {
      log_->disownConsumer(it->first);
      log::warn("cursor.unowned",
                {{"cursor", it->first}, {"hint", "godwit-agent cursor rm " + it->first}});
    }
    it = publishers_.erase(it);
  }
  for (const auto& [name, section] : config_.publishers()) {
    if (publishers_.contains(name) || !section.flag("enabled")) continue;
    auto p = makePublisher(section);
    if (!p) {
      log::error("publisher.cannot_start", {{"publisher", name}, {"why", p.error().message}});
      continue;
    }
    p.value()->start();
    publishers_[name] = {std::move(p).value(), section.fingerprint(), section.text("type")};
  }
}

void Agent::reloadReceivers(const Config& old) {
  auto changed = [&](std::string_view kind) {
    return old.section(kind).fingerprint() != config_.section(kind).fingerprint();
  };
  auto failed = [](std::string_view kind, const Result<>& r) {
    if (!r) {
      log::error("receiver.cannot_open",
                 {{"receiver", kind}, {"why", r.error().message}, {"detail", r.error().detail}});
    }
  };
  if (changed("statsd")) {
    statsd_->close();
    statsd_ = std::make_unique<StatsdServer>(loop_, *inlet_);
    failed("statsd", statsd_->open(config_.section("statsd"), inherited_));
  }
  if (changed("http")) {
    http_->close();
    const Section& h = config_.section("http");
    ingest_ = std::make_unique<Ingest>(*inlet_, h.text("token"),
                                       static_cast<std::size_t>(h.size("max_body")));
    http_ = std::make_unique<HttpServer>(loop_, [this](HttpRequest& r) { return handle(r); });
    failed("http", http_->open(h, inherited_));
  }
  if (changed("resp")) {
    resp_->close();
    resp_ = std::make_unique<RespServer>(loop_, *inlet_);
    failed("resp", resp_->open(config_.section("resp"), inherited_));
  }
  if (changed("streams")) {
    if (streams_) streams_->stop();
    streams_.reset();
    if (config_.section("streams").flag("enabled")) {
      streams_ = makeStreams();
      streams_->start();
    }
  }
  if (changed("redis")) {
    if (redis_) redis_->stop();
    redis_.reset();
    if (config_.section("redis").flag("enabled")) {
      redis_ = makeRedis();
      redis_->start();
    }
  }
}

}  // namespace godwit::agent
