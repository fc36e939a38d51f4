"""LiveKit agent worker: one job for each call; it owns time, turns and playout."""
