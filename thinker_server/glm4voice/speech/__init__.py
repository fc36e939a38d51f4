"""The caller's voice to speech tokens, 12.5 a second, while it is still coming."""
