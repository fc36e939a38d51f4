"""Programs that fit what the Actor ships or learns; none of them runs during a call."""
