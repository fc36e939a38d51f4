"""LiveKit's audio and video sources as the sinks of playout, and how they are published."""

import asyncio
from collections.abc import Iterable

import numpy as np
from livekit import rtc

from proto.time_law import FRAME_HEIGHT, FRAME_WIDTH, SPEECH_HZ
from services.room_agent.frame_spacing import FrameSpacing

STREAM = "avatar"
"""One media stream for both tracks: browsers keep the lips in step only within a stream."""
VIDEO_ENCODING = rtc.VideoEncoding(max_bitrate=500_000, max_framerate=60)
"""LiveKit's default for 256x256 is 150 kbit/s at 15 fps.

WebRTC drops frames that come sooner than the rate allows; those that catch up (`FrameSpacing`) do.
"""


STATISTICS_EVERY_S = 5.0
"""How often WebRTC's statistics of a track are read."""


class LiveKitAudio:
    """An AudioSink. `push` must neither overlap nor be cancelled; `clear` makes it return."""

    def __init__(self, queue_ms: int) -> None:
        self.source = rtc.AudioSource(SPEECH_HZ, 1, queue_size_ms=queue_ms)

    async def push(self, pcm: np.ndarray) -> None:
        """Queue (N,) s16; N is a multiple of 10 ms."""
        frame = rtc.AudioFrame(pcm.tobytes(), SPEECH_HZ, 1, len(pcm))
        await self.source.capture_frame(frame)

    def clear(self) -> None:
        """Drop everything that has not been sent."""
        self.source.clear_queue()


class LiveKitVideo:
    """A VideoSink of I420 frames."""

    def __init__(self) -> None:
        self.source = rtc.VideoSource(FRAME_WIDTH, FRAME_HEIGHT)
        self._spacing = FrameSpacing(self._send)

    def show(self, frame: np.ndarray) -> None:
        """Send one (384, 256) uint8 frame, now unless another has just been sent."""
        self._spacing.show(frame)

    def _send(self, frame: np.ndarray) -> None:
        i420 = rtc.VideoFrame(FRAME_WIDTH, FRAME_HEIGHT, rtc.VideoBufferType.I420, frame.tobytes())
        self.source.capture_frame(i420)


async def publish(
    participant: rtc.LocalParticipant, audio: LiveKitAudio, video: LiveKitVideo
) -> rtc.LocalVideoTrack:
    """Publish both tracks side by side; returns the picture's."""
    audio_track = rtc.LocalAudioTrack.create_audio_track("avatar-voice", audio.source)
    video_track = rtc.LocalVideoTrack.create_video_track("avatar-face", video.source)
    # Silence is not sent: a receiver that got no processor for a while would play the next answer
    # late by all that it had not played in time.
    audio_options = rtc.TrackPublishOptions(
        source=rtc.TrackSource.SOURCE_MICROPHONE, stream=STREAM, dtx=True
    )
    video_options = rtc.TrackPublishOptions(
        source=rtc.TrackSource.SOURCE_CAMERA,
        stream=STREAM,
        simulcast=False,
        video_codec=rtc.VideoCodec.VP8,
        video_encoding=VIDEO_ENCODING,
    )
    await asyncio.gather(
        participant.publish_track(audio_track, audio_options),
        participant.publish_track(video_track, video_options),
    )
    return video_track


def is_person(participant: rtc.RemoteParticipant) -> bool:
    """Whether it is a caller, and no agent or recorder."""
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD


def sent_frames(entries: Iterable[rtc.stats.RtcStats]) -> int:
    """How many frames a track's statistics say were sent."""
    sent = (e.outbound_rtp.outbound for e in entries if e.WhichOneof("stats") == "outbound_rtp")
    return sum(stream.frames_sent for stream in sent)
