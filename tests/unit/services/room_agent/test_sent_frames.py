"""How many frames of the face left, by WebRTC's statistics."""

import pytest
from livekit.rtc import stats

from services.room_agent.livekit_media import sent_frames

pytestmark = pytest.mark.unit


def test_only_what_was_sent_is_counted() -> None:
    picture, codec, heard = stats.RtcStats(), stats.RtcStats(), stats.RtcStats()
    picture.outbound_rtp.outbound.frames_sent = 120
    picture.outbound_rtp.outbound.frames_encoded = 125
    codec.codec.codec.mime_type = "video/VP8"
    heard.inbound_rtp.inbound.frames_received = 99
    assert sent_frames([picture, codec, heard]) == 120
    assert sent_frames([codec]) == 0
