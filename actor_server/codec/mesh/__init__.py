"""The mesh codec: a portrait and 31 numbers of motion a frame -> 256x256 frames on a CPU."""
