"""What the 9B Actor costs on a GPU: `python -m actor_server.gpubench --out FILE`."""
