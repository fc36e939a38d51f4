"""Faces as LTX video latents: a portrait into tokens, the Actor's tokens into frames.

Dimension letters: B batch, D latent channels (128), K latent frames, h and w the latent's grid
(8 x 8), T = h w tokens of a latent frame, F frames, H and W the picture's size (256 x 256).
Latent frame 0 is the reference and one video frame; latent frame c + 1 is chunk c, eight frames.
"""
