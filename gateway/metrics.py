"""Prometheus metrics of the gateway."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter(
    "xstreamer_gateway_requests", "HTTP requests answered", ["method", "route", "status"]
)
REQUEST_SECONDS = Histogram(
    "xstreamer_gateway_request_seconds", "Time to answer an HTTP request", ["route"]
)
PORTRAITS = Counter("xstreamer_gateway_portraits", "Portraits checked, by verdict", ["code"])
PORTRAIT_SECONDS = Histogram("xstreamer_gateway_portrait_seconds", "Time of a portrait check")
ROOMS = Counter("xstreamer_gateway_rooms", "Rooms created")
LIVE_CALLS = Gauge("xstreamer_gateway_live_calls", "Calls that have not ended")
AGENT_JOIN_SECONDS = Histogram(
    "xstreamer_gateway_agent_join_seconds",
    "Time from room creation until its agent joined",
    buckets=(0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 4, 8, 16, 32),
)
REDISPATCHES = Counter("xstreamer_gateway_redispatches", "Agents asked for again by the watchdog")
SIGNAL_CONNECTIONS = Gauge(
    "xstreamer_gateway_signal_connections", "LiveKit signalling connections proxied now"
)
