"""Where motion comes from: a window of conditions in, chunks of motion latents out."""
