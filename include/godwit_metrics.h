/* C interface of godwit::metrics, for bindings of other languages. libgodwit_metrics.so exports
 * exactly what is declared here.
 *
 * Any thread may call anything, except that a collector or client must not be used while or after
 * it is freed. Nothing throws, nothing blocks (but godwit_metrics_open with on_full "block").
 * Strings are UTF-8, borrowed for the duration of the call. Times are Unix nanoseconds, UTC.
 * Structs begin with their size, so that they can grow; new fields are added at the end.
 * fork() is safe: the child writes to a lane of its own. */
#ifndef GODWIT_METRICS_H
#define GODWIT_METRICS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GODWIT_METRICS_ABI 1

typedef struct godwit_metrics_client godwit_metrics_client;
typedef struct godwit_metrics_collector godwit_metrics_collector;
typedef struct godwit_metrics_counter godwit_metrics_counter;
typedef struct godwit_metrics_timer godwit_metrics_timer;
typedef struct godwit_metrics_gauge godwit_metrics_gauge;

/* Results. Negative: an error. */
enum {
  GODWIT_METRICS_SPOOLED = 0,  /* survives the death of any process */
  GODWIT_METRICS_BUFFERED = 1, /* in memory until the spool can be used */
  GODWIT_METRICS_DROPPED = 2,  /* counted */
  GODWIT_METRICS_OK = 0,
  GODWIT_METRICS_CLOSED = -1,  /* the collector has been closed */
  GODWIT_METRICS_INVALID = -2, /* a null pointer, an unknown value */
  GODWIT_METRICS_NO_MEMORY = -3
};

enum { GODWIT_METRICS_DROP_OLDEST = 0, GODWIT_METRICS_DROP_NEWEST = 1, GODWIT_METRICS_BLOCK = 2 };
enum {
  GODWIT_METRICS_CHANNEL_SPOOL = 0,
  GODWIT_METRICS_CHANNEL_REDIS = 1 /* appended to the spool; the agent forwards it to Redis */
};

/* Zero or NULL means the default everywhere. */
typedef struct {
  size_t size; /* sizeof(godwit_metrics_options) */
  const char* spool_dir;
  const char* timestamp_format;
  const char* const* default_dimensions; /* name, value, name, value, …, NULL */
  int channel;
  int on_full;
  uint32_t block_timeout_ms;
  uint32_t flush_interval_ms;
  uint64_t max_bytes;
  uint64_t max_lane_bytes;
  uint64_t segment_size;
  uint64_t ring_bytes;
  uint64_t max_handles;
  double min_free; /* share of the file system; negative: none */
} godwit_metrics_options;

typedef struct {
  size_t size; /* sizeof(godwit_metrics_stats), set by the caller */
  uint64_t frames, samples, bytes;
  uint64_t dropped_full, dropped_oversize, dropped_nan, dropped_unavailable;
  uint64_t buffered_frames, spool_unavailable, lane_bytes, ts_ahead_us, handles;
} godwit_metrics_stats;

int godwit_metrics_abi(void);
const char* godwit_metrics_version(void);

/* NULL only when memory is out. options may be NULL. */
godwit_metrics_client* godwit_metrics_open(const godwit_metrics_options* options);
void godwit_metrics_close(godwit_metrics_client* client);

/* A time for a measurement made now: whole microseconds, never the same twice in a process. */
int64_t godwit_metrics_now(godwit_metrics_client* client);

/* Collectors: one per request. Freed by send, or by free when nothing is to be sent. */
godwit_metrics_collector* godwit_metrics_collector_new(godwit_metrics_client* client);
void godwit_metrics_collector_free(godwit_metrics_collector* collector);
int godwit_metrics_add_count(godwit_metrics_collector* collector, const char* name, double value);
int godwit_metrics_add_count_at(godwit_metrics_collector* collector, const char* name, double value,
                                int64_t time_ns, int replace_timestamp);
/* unit_name NULL: milliseconds. The value reported is seconds * per_second. */
int godwit_metrics_set_timer(godwit_metrics_collector* collector, const char* name,
                             int64_t nanoseconds, const char* unit_name, double per_second);
int godwit_metrics_set_timer_at(godwit_metrics_collector* collector, const char* name,
                                int64_t nanoseconds, const char* unit_name, double per_second,
                                int64_t time_ns);
int godwit_metrics_set_gauge(godwit_metrics_collector* collector, const char* name, double value);
int godwit_metrics_set_dimension(godwit_metrics_collector* collector, const char* name,
                                 const char* value);
/* Closes, sends and frees the collector, whatever the result. */
int godwit_metrics_send(godwit_metrics_client* client, godwit_metrics_collector* collector);

/* One Metrics-binary (docs/formats/spool.md, type 1), checked before it is appended. */
int godwit_metrics_send_encoded(godwit_metrics_client* client, const void* bytes, size_t size);
/* One Kadabra message (docs/metrics.md, "The wire"). */
int godwit_metrics_send_json(godwit_metrics_client* client, const char* text, size_t size);
/* Counts samples that the binding refused because they are NaN or infinite. */
void godwit_metrics_refused(godwit_metrics_client* client, uint64_t samples);

/* Handles, aggregated in the process. They live as long as the client. dimensions as in options,
 * may be NULL. NULL when memory is out. */
godwit_metrics_counter* godwit_metrics_counter_get(godwit_metrics_client* client, const char* name,
                                                   const char* const* dimensions);
godwit_metrics_timer* godwit_metrics_timer_get(godwit_metrics_client* client, const char* name,
                                               const char* const* dimensions);
godwit_metrics_gauge* godwit_metrics_gauge_get(godwit_metrics_client* client, const char* name,
                                               const char* const* dimensions);
void godwit_metrics_counter_inc(godwit_metrics_counter* counter, double by);
void godwit_metrics_timer_record(godwit_metrics_timer* timer, int64_t nanoseconds);
void godwit_metrics_gauge_set(godwit_metrics_gauge* gauge, double value);

/* Sends what the handles hold. 1: nothing is left in memory. */
int godwit_metrics_flush(godwit_metrics_client* client);
int godwit_metrics_get_stats(godwit_metrics_client* client, godwit_metrics_stats* out);
/* The lane's directory, or why there is none; cut to size, always terminated. Returns its length.
 */
size_t godwit_metrics_lane(godwit_metrics_client* client, char* out, size_t size);
size_t godwit_metrics_last_error(godwit_metrics_client* client, char* out, size_t size);

#ifdef __cplusplus
}
#endif

#endif
