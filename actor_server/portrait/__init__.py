"""Portrait intake: may this picture become an avatar, and if so, the crop the codec animates."""
