// The agent's life: STARTING -> RUNNING -> DRAINING -> EXITED. Owns every part; the thread that
// calls run() is the loop thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/aggregation.h"
#include "agent/config.h"
#include "agent/http_server.h"
#include "agent/ingest.h"
#include "agent/inlet.h"
#include "agent/log.h"
#include "agent/loop.h"
#include "agent/publisher.h"
#include "agent/redis_receiver.h"
#include "agent/report.h"
#include "agent/resp_server.h"
#include "agent/statsd_server.h"
#include "agent/streams_receiver.h"

namespace godwit::agent {

class Agent {
 public:
  Agent(Config config, std::string config_path);
  ~Agent();

  // Blocks until a signal ends it. The process's exit code.
  int run();

 private:
  struct Running {
    std::unique_ptr<Publisher> publisher;
    std::string fingerprint;
    std::string type;
  };

  Result<> start();
  bool waitForSpool();
  Result<> openPublishers();
  Result<> openReceivers();
  Result<std::unique_ptr<Publisher>> makePublisher(const Section& settings);
  std::unique_ptr<RedisReceiver> makeRedis();
  std::unique_ptr<StreamsReceiver> makeStreams();
  void onSignal();
  void reload();
  void reloadPublishers(const Config& next);
  void reloadReceivers(const Config& next);
  void beginDrain(const char* why);
  void drainStep();
  void finish();
  HttpReply handle(HttpRequest& request);
  void exposeMetrics(const HttpRequest& request, HttpReply& reply);
  void sendSelfMetrics();
  ReportInput reportInput();

  Config config_;
  std::string config_path_;
  std::string spool_path_;
  std::string host_;
  std::string agent_id_;
  Loop loop_;
  UniqueFd signals_;
  InheritedSockets inherited_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<Inlet> inlet_;
  std::unique_ptr<Aggregation> aggregation_;
  std::map<std::string, Running> publishers_;
  std::unique_ptr<Ingest> ingest_;
  std::unique_ptr<StatsdServer> statsd_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<RespServer> resp_;
  std::unique_ptr<RedisReceiver> redis_;
  std::unique_ptr<StreamsReceiver> streams_;
  Loop::TimerId self_timer_ = 0;
  std::map<std::string, double> self_last_;

  enum class State { kStarting, kRunning, kDraining, kStopped };
  State state_ = State::kStarting;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  Deadline drain_deadline_ = Deadline::never();
  std::chrono::steady_clock::time_point drain_began_{};
  bool aggregation_stopped_ = false;
  Log::Mark drain_mark_;
  int exit_code_ = 0;
};

}  // namespace godwit::agent
