"""Speech recognition behind one interface."""
