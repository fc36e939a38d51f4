"""A person in headless Chromium: opens pages, speaks into the call, and records what comes back."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import resources

from playwright.async_api import Page, async_playwright

from services.callbench.config import CallbenchConfig
from services.callbench.questions import Clip, clip
from services.callbench.recording import CallRecording, Recorder, Spoken

FLAGS = (
    "--no-sandbox",  # containers have no user namespaces
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-dev-shm-usage",
    # A page in the background would show fewer frames.
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
)
DRAIN_EVERY_S = 1.0
POLL_S = 0.05


class BrowserMissing(Exception):
    """There is no Chromium on this machine."""


class CallerTimeout(Exception):
    """What the caller waited for did not happen in time."""


class Caller:
    """One browser process with one page. Speaks, listens and records."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self._recorder = Recorder()
        self._draining = asyncio.Lock()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    async def say(self, question_id: str, pause_s: float = 0.0) -> Spoken:
        """Speak a recorded question now; returns once it is on its way, not when it is over.

        `pause_s`: hesitate for so long inside the sentence.
        """
        spoken_clip: Clip = clip(question_id, pause_s)
        wav = base64.b64encode(spoken_clip.wav).decode()
        said = await self.page.evaluate(
            "([name, wav]) => callbench.say(name, wav)", [question_id, wav]
        )
        start_s = said["start"] / 1e3
        spoken = Spoken(
            question_id=question_id,
            voice_start_s=start_s + spoken_clip.voice_start_s,
            voice_end_s=start_s + spoken_clip.voice_end_s,
        )
        self._recorder.spoken.append(spoken)
        return spoken

    async def now_s(self) -> float:
        """Return the page's wall clock in seconds."""
        return float(await self.page.evaluate("callbench.now()")) / 1e3

    async def wait_for_frame(self, timeout_s: float = 30.0) -> None:
        """Return when the first frame of the agent was shown."""
        await self._until("first frame", timeout_s, lambda: self._has_mark("first_frame"))

    async def wait_for_voice(self, after_s: float, timeout_s: float = 30.0) -> float:
        """Return when the agent's voice sounded after the given moment."""
        await self._until("agent's voice", timeout_s, lambda: self._voiced_after(after_s))
        return await self.now_s()

    async def wait_for_quiet(self, quiet_s: float, timeout_s: float = 60.0) -> None:
        """Return when the agent has been silent for `quiet_s`."""
        await self._until("agent's silence", timeout_s, lambda: self._quiet_for(quiet_s))

    async def listen(self, seconds: float) -> None:
        """Record for a while."""
        until = asyncio.get_running_loop().time() + seconds
        while (left := until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, DRAIN_EVERY_S))
            await self.collect()

    async def snapshot(self) -> bytes:
        """Return the frame now shown, as a PNG file (empty when there is none)."""
        return base64.b64decode(await self.page.evaluate("callbench.snapshot()"))

    async def collect(self) -> None:
        """Move the page's record here."""
        async with self._draining:
            self._recorder.add(await self.page.evaluate("callbench.drain()"))

    async def recording(self) -> CallRecording:
        """Return everything recorded so far."""
        await self.collect()
        return self._recorder.recording()

    async def take(self) -> CallRecording:
        """Return what was recorded since the last time, and forget it."""
        await self.collect()
        taken, self._recorder = self._recorder, Recorder()
        return taken.recording()

    async def _has_mark(self, name: str) -> bool:
        await self.collect()
        return any(mark.name == name for mark in self._recorder.marks)

    async def _voiced_after(self, after_s: float) -> bool:
        voice = await self.page.evaluate("callbench.voice()")
        return bool(voice["voicedAt"] / 1e3 > after_s)

    async def _quiet_for(self, quiet_s: float) -> bool:
        voice, now = await self.page.evaluate("[callbench.voice(), callbench.now()]")
        return bool(now - voice["voicedAt"] > quiet_s * 1e3)

    async def _until(
        self, what: str, timeout_s: float, happened: Callable[[], Awaitable[bool]]
    ) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        drained = loop.time()
        while not await happened():
            if loop.time() > deadline:
                raise CallerTimeout(f"no {what} within {timeout_s:.0f} s")
            if loop.time() - drained > DRAIN_EVERY_S:
                await self.collect()
                drained = loop.time()
            await asyncio.sleep(POLL_S)


@asynccontextmanager
async def open_caller(
    config: CallbenchConfig, *, viewport: tuple[int, int] | None = None, light: bool = False
) -> AsyncIterator[Caller]:
    """Start a browser process of its own and give its one page, not yet at any address.

    `light`: record neither sound nor pictures, only when frames came and the statistics.
    """
    if not config.chromium:
        raise BrowserMissing(
            "No Chromium found. Install it (Debian: apt-get install chromium) or set "
            "XSTREAMER_CALLBENCH_CHROMIUM to its path."
        )
    width, height = viewport or (config.viewport_width, config.viewport_height)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=config.chromium, headless=True, args=list(FLAGS)
        )
        try:
            context = await browser.new_context(
                permissions=["microphone", "camera"],
                viewport={"width": width, "height": height},
                bypass_csp=True,  # the probe's audio worklet is a blob
            )
            await context.add_init_script(_probe(light=light))
            yield Caller(await context.new_page())
        finally:
            await browser.close()


def _probe(*, light: bool) -> str:
    page = resources.files("services.callbench") / "page"
    tap = (page / "tap.js").read_text().replace("\\", "\\\\").replace("`", "\\`")
    probe = (page / "probe.js").read_text().replace('"__TAP_SOURCE__"', f"`{tap}`")
    return f"window.callbenchLight = {str(light).lower()};\n{probe}"
