"""Codecs between video frames and the latents that the Actor generates."""
