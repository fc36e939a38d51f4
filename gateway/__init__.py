"""The people's side: REST, browser pages, room tokens, portraits and call records.

It loads neither torch nor mediapipe; whatever needs to see a face is asked of the Actor.
"""
