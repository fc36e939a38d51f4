"""Model files by manifest: fetched once, verified, never run as code. Standard library only."""
