"""Where the engines listen when nobody says otherwise: one host, addresses that need no file."""

THINKER_ENDPOINT = "tcp://127.0.0.1:7601"
ACTOR_ENDPOINT = "tcp://127.0.0.1:7602"
