"""One segment of captions as LiveKit's agents send them."""

from livekit import rtc


class LiveKitCaption:
    """One segment's stream."""

    def __init__(self, writer: rtc.TextStreamWriter) -> None:
        self._writer = writer

    async def write(self, text: str) -> None:
        """Append words."""
        await self._writer.write(text)

    async def finish(self) -> None:
        """Close the segment."""
        await self._writer.aclose(attributes={"lk.transcription_final": "true"})
