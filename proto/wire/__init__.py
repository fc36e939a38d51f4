"""Thin adapters between the pure protocol and the world: ZeroMQ sockets and the clock."""
