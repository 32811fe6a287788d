"""Settings of the client. The keys are Kadabra's."""

# CLIENT_CHANNEL_TYPE "spool" leaves the metrics in the spool for godwit-agent. "redis" does the
# same and asks the agent to forward them to Redis; the program itself never talks to Redis.
DEFAULT_CONFIG = {
    "CLIENT_DEFAULT_DIMENSIONS": {},
    "CLIENT_TIMESTAMP_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
    "CLIENT_CHANNEL_TYPE": "spool",
    "CLIENT_CHANNEL_ARGS": None,
}

# CLIENT_CHANNEL_ARGS of both channels. None: the library's default.
SPOOL_ARGS = {
    "dir": None,  # $GODWIT_SPOOL, /var/lib/godwit/spool, $XDG_STATE_HOME/godwit/spool
    "max_bytes": None,  # of the whole spool
    "max_lane_bytes": None,  # of this process
    "min_free": None,  # share of the file system left free; -1: none
    "segment_size": None,
    "ring_bytes": None,  # memory for when the spool cannot be used
    "on_full": None,  # "drop_oldest", "drop_newest" or "block"
    "block_timeout": None,  # seconds
    "flush_interval": None,  # seconds, of counter(), timer() and gauge()
}

# Accepted with "redis", so that configurations go on working. Where Redis is, the agent knows.
REDIS_ARGS = {
    "host": "localhost",
    "port": 6379,
    "db": 0,
    "logger": "kadabra.channel",
    "queue_key": "kadabra_queue",
    "inprogress_key": "kadabra_inprogress",
}

CHANNEL_ARGS = {
    "spool": SPOOL_ARGS,
    "redis": {**SPOOL_ARGS, **REDIS_ARGS},
}
