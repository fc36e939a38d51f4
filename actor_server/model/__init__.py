"""The Actor's video transformer: one code for every size, built from an `ActorGeometry`.

Dimension letters of this package: B batch or rows, K chunks, T tokens of a chunk, R reference
tokens, D latent channels, C width, H heads, G key-value heads, E head width, M condition slots.
"""
