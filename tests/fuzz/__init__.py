"""Fuzzing: python -m tests.fuzz --help. What is fuzzed: docs/fuzzing.md."""
