"""Avatars and call records in SQLite or PostgreSQL."""
