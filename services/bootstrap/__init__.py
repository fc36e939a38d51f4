"""From a bare Python to a machine that can run a call: standard library only, no third party."""
