"""The time law: every rate and length that two processes must agree on, exact in integers.

Source: X-Streamer (arXiv 2509.21574) section 3; one chunk of video is exactly four audio tokens.
"""

AUDIO_TOKEN_US = 80_000
"""One audio token lasts 80 ms (12.5 Hz)."""
FRAME_US = 40_000
"""One video frame lasts 40 ms (25 fps)."""
FRAMES_PER_SECOND = 25
CHUNK_FRAMES = 8
CHUNK_AUDIO_TOKENS = 4
CHUNK_US = CHUNK_FRAMES * FRAME_US
"""One chunk is 8 frames = 4 audio tokens = 0.32 s."""

SEGMENT_TEXT_SLOTS = 13
SEGMENT_AUDIO_TOKENS = 26
SEGMENT_US = SEGMENT_AUDIO_TOKENS * AUDIO_TOKEN_US
"""One segment is 13 text slots + 26 audio tokens = 2.08 s."""
MIN_PART_AUDIO_TOKENS = 4
"""A segment may leave in parts; a part that is not the last of its turn has at least this many."""

SPEECH_HZ = 24_000
"""Sample rate of all synthesised speech between processes."""
HEARING_HZ = 16_000
"""Sample rate of the caller's audio and of the speech features."""
TOKEN_SAMPLES = SPEECH_HZ * AUDIO_TOKEN_US // 1_000_000
FRAME_SAMPLES = SPEECH_HZ * FRAME_US // 1_000_000
CHUNK_SAMPLES = CHUNK_AUDIO_TOKENS * TOKEN_SAMPLES
HEARING_BLOCK_SAMPLES = HEARING_HZ // 50
"""The caller's audio travels in 20-ms blocks of 320 samples."""

FRAME_WIDTH = 256
FRAME_HEIGHT = 256
I420_ROWS = FRAME_HEIGHT * 3 // 2
"""An I420 frame is one (I420_ROWS, FRAME_WIDTH) uint8 array: Y, then U and V at quarter size."""


def chunk_pts_us(chunk: int) -> int:
    """Media time at which a chunk begins, in microseconds from call start."""
    return chunk * CHUNK_US


def tokens_to_us(tokens: int) -> int:
    """Duration of a number of audio tokens in microseconds."""
    return tokens * AUDIO_TOKEN_US
