"""LiveKit's client without a connection: a room that emits, and who and what may be in it."""

from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

from livekit import rtc
from livekit.rtc.event_emitter import EventEmitter

PERSON = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD
AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
MICROPHONE = rtc.TrackSource.SOURCE_MICROPHONE
CAMERA = rtc.TrackSource.SOURCE_CAMERA
SCREEN = rtc.TrackSource.SOURCE_SCREENSHARE


class Publication:
    """A track that somebody else has published."""

    def __init__(self, sid: str, source: Any = MICROPHONE, features: tuple[int, ...] = ()) -> None:
        self.sid, self.source, self.audio_features = sid, source, list(features)
        self.subscribed = False

    def set_subscribed(self, subscribed: bool) -> None:
        self.subscribed = subscribed


def participant(identity: str, *tracks: Publication, kind: Any = PERSON) -> Any:
    """Somebody else in the room."""
    published = {track.sid: track for track in tracks}
    return SimpleNamespace(identity=identity, kind=kind, track_publications=published)


def sound(*statistics: Any) -> Any:
    """The caller's microphone track; `statistics` are what it says of itself, one each time."""
    return track(rtc.TrackKind.KIND_AUDIO, *statistics)


def track(kind: Any, *statistics: Any) -> Any:
    """A track; its statistics fail when there are no more."""
    told = list(statistics)

    async def get_stats() -> Any:
        if not told:
            raise RuntimeError("no statistics")
        return told.pop(0)

    return SimpleNamespace(kind=kind, get_stats=get_stats)


class Writer:
    """A text stream to the page."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.text = ""
        self.closed_with: dict[str, str] | None = None

    async def write(self, text: str) -> None:
        self.text += text

    async def aclose(self, *, attributes: dict[str, str] | None = None) -> None:
        self.closed_with = attributes or {}


class Me:
    """The avatar's own participant."""

    def __init__(self) -> None:
        self.identity = "avatar-1"
        self.attributes: dict[str, str] = {}
        self.track_publications: dict[str, Any] = {}
        self.texts: list[Writer] = []
        self.data: list[tuple[str, str]] = []
        self.unreachable: Exception | None = None

    async def publish_track(self, published: Any, options: rtc.TrackPublishOptions) -> None:
        sid = f"TR_{len(self.track_publications)}"
        self.track_publications[sid] = SimpleNamespace(sid=sid, kind=published.kind)

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        self.attributes |= attributes

    async def stream_text(self, **options: Any) -> Writer:
        self.texts.append(Writer(options))
        return self.texts[-1]

    async def publish_data(self, message: str, *, topic: str) -> None:
        if self.unreachable is not None:
            raise self.unreachable
        self.data.append((topic, message))


class Room(EventEmitter[str]):
    """Emits what a test tells it to; `handlers` are those of streams, by topic."""

    def __init__(self, *people: Any) -> None:
        super().__init__()
        self.name, self.metadata = "room-1", ""
        self.remote_participants = {person.identity: person for person in people}
        self.local_participant = Me()
        self.handlers: dict[str, Callable[[Any, str], None]] = {}

    def register_text_stream_handler(self, topic: str, handler: Callable[..., None]) -> None:
        self.handlers[topic] = handler

    register_byte_stream_handler = register_text_stream_handler


class Text:
    """A text stream from the page; `broken`: it ends in the middle."""

    def __init__(
        self, *parts: str, broken: bool = False, attributes: dict[str, str] | None = None
    ) -> None:
        self._parts, self._broken = parts, broken
        self.info = SimpleNamespace(attributes=attributes)
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[str]:
        for part in self._parts:
            yield part
        if self._broken:
            raise rtc.StreamError("the sender is gone")

    def close(self) -> None:
        self.closed = True
