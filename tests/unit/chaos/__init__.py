"""The figures of `make chaos`."""
