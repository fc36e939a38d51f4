"""All processes of one machine: configured, started, watched, restarted and stopped together."""
