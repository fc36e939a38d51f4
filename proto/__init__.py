"""The contract between processes: time law, messages, codec and speech features.

Everything outside `proto.wire` is pure: no sockets, no event loop, no clock.
"""
