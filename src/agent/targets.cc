#include "agent/debug_target.h"
#include "agent/influx_target.h"
#include "agent/redis_targets.h"
#include "agent/statsd_target.h"
#include "agent/stream_target.h"
#include "agent/target.h"

namespace godwit::agent {

std::unique_ptr<Target> makeTarget(const Section& s, const TargetContext& context) {
  std::string type = s.text("type");
  if (type == "debug") return std::make_unique<DebugTarget>(s);
  if (type == "influxdb" || type == "influxdb2") return std::make_unique<InfluxTarget>(s, context);
  if (type == "statsd") return std::make_unique<StatsdTarget>(s, context);
  if (type == "redis_list") return std::make_unique<RedisListTarget>(s, context);
  if (type == "redis_stream") return std::make_unique<StreamTarget>(s);
  return nullptr;
}

}  // namespace godwit::agent
