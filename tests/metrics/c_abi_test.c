/* The C interface from C: compiles as C99, and does what its header says.
 * usage: c_abi_test SPOOL */
#include <godwit_metrics.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static int failures = 0;
#define CHECK(x)                                             \
  do {                                                       \
    if (!(x)) {                                              \
      printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #x); \
      ++failures;                                            \
    }                                                        \
  } while (0)

int main(int argc, char** argv) {
  const char* dims[] = {"app", "c", NULL};
  const char* more[] = {"route", "/", NULL};
  godwit_metrics_options o;
  godwit_metrics_stats s;
  godwit_metrics_client* client;
  godwit_metrics_collector* c;
  char text[64];
  static const char json[] =
      "{\"dimensions\": [], \"counters\": [{\"name\": \"j\", \"timestamp\": "
      "\"2026-11-20T05:48:16.841713Z\", \"value\": 1}], \"timers\": []}";

  if (argc != 2) return 2;
  CHECK(godwit_metrics_abi() == GODWIT_METRICS_ABI);
  CHECK(strlen(godwit_metrics_version()) > 0);
  memset(&o, 0, sizeof o);
  o.size = sizeof o;
  o.spool_dir = argv[1];
  o.default_dimensions = dims;
  o.min_free = -1;
  client = godwit_metrics_open(&o);
  CHECK(client != NULL);
  CHECK(godwit_metrics_now(client) < godwit_metrics_now(client));

  c = godwit_metrics_collector_new(client);
  CHECK(godwit_metrics_add_count(c, "n", 1) == GODWIT_METRICS_OK);
  CHECK(godwit_metrics_add_count_at(c, "n", 2, 5000, 0) == GODWIT_METRICS_OK);
  CHECK(godwit_metrics_add_count(c, "n", NAN) == GODWIT_METRICS_OK);
  CHECK(godwit_metrics_set_timer(c, "t", 12500000, NULL, 0) == GODWIT_METRICS_OK);
  CHECK(godwit_metrics_set_timer_at(c, "u", 60000000000LL, "minutes", 1.0 / 60, 5000) ==
        GODWIT_METRICS_OK);
  CHECK(godwit_metrics_set_gauge(c, "g", 3) == GODWIT_METRICS_OK);
  CHECK(godwit_metrics_set_dimension(c, "method", "get") == GODWIT_METRICS_OK);
  CHECK(godwit_metrics_set_dimension(c, NULL, "get") == GODWIT_METRICS_INVALID);
  CHECK(godwit_metrics_send(client, c) == GODWIT_METRICS_SPOOLED);

  CHECK(godwit_metrics_send_json(client, json, strlen(json)) == GODWIT_METRICS_SPOOLED);
  CHECK(godwit_metrics_send_json(client, "{}", 2) == GODWIT_METRICS_INVALID);
  CHECK(godwit_metrics_send_encoded(client, "\7", 1) == GODWIT_METRICS_DROPPED);

  godwit_metrics_counter_inc(godwit_metrics_counter_get(client, "hits", more), 2);
  godwit_metrics_timer_record(godwit_metrics_timer_get(client, "latency", NULL), 1000000);
  godwit_metrics_gauge_set(godwit_metrics_gauge_get(client, "depth", NULL), 4);
  CHECK(godwit_metrics_flush(client) == 1);

  memset(&s, 0, sizeof s);
  s.size = sizeof s;
  CHECK(godwit_metrics_get_stats(client, &s) == GODWIT_METRICS_OK);
  CHECK(s.samples == 8);
  CHECK(s.dropped_nan == 1);
  CHECK(s.handles == 3);
  /* An older caller's struct is shorter. */
  s.size = offsetof(godwit_metrics_stats, bytes);
  s.bytes = 77;
  CHECK(godwit_metrics_get_stats(client, &s) == GODWIT_METRICS_OK && s.bytes == 77);
  CHECK(godwit_metrics_lane(client, text, sizeof text) > 0 && strlen(text) < sizeof text);

  CHECK(godwit_metrics_send(NULL, NULL) == GODWIT_METRICS_INVALID);
  CHECK(godwit_metrics_collector_new(NULL) == NULL);
  godwit_metrics_collector_free(godwit_metrics_collector_new(client));
  godwit_metrics_close(client);
  godwit_metrics_close(NULL);
  return failures ? 1 : 0;
}
