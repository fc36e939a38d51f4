"""The mesh codec: one portrait and a 31-number motion latent per frame -> 256x256 frames on a CPU."""
