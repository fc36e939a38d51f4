"""From timed speech to HiddenChunks: resampling, features, text slots and segments."""
