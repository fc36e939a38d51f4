"""The mind that hears and speaks itself: one slot of the model, one dialogue."""

from dataclasses import dataclass
from zlib import crc32

from proto.time_law import AUDIO_TOKEN_US
from thinker_server.glm4voice.dialogue import GlmDialogue, GlmExchange
from thinker_server.glm4voice.hearing import SpeechEars
from thinker_server.glm4voice.reply import GlmReply
from thinker_server.glm4voice.token_thread import TokenThread
from thinker_server.glm4voice.tokenizer import GlmTokenizer
from thinker_server.metrics import ThinkerMetrics
from thinker_server.outlet import Outlet
from thinker_server.seeing.glance import Sight
from thinker_server.trace import Trace
from thinker_server.workers import Workers


@dataclass(frozen=True)
class GlmMind:
    """What a session works with; `slot` and `dialogue` are its own, the rest is shared."""

    tokens: TokenThread
    slot: int
    tokenizer: GlmTokenizer
    dialogue: GlmDialogue
    recogniser: SpeechEars
    workers: Workers
    metrics: ThinkerMetrics
    max_reply_tokens: int
    with_states: bool
    sight: Sight | None = None

    async def warm(self) -> None:
        """Let the model read what the next question will find."""
        await self.tokens.read(self.slot, self.dialogue.known())

    def exchange(self, turn: int, typed: str = "") -> GlmExchange:
        """A new exchange; what was said beside the typed text is added when it is heard out."""
        return GlmExchange(turn, [typed] if typed else [])

    def take_up(self, wordless: GlmExchange) -> bool:
        """No: it reads an unheard question before whatever it heard, words or not."""
        return False

    def remember(self, exchange: GlmExchange) -> None:
        """The exchange now belongs to the dialogue."""
        self.dialogue.add(exchange)

    def recall(self, turn: int) -> GlmExchange | None:
        """The latest exchange of that turn."""
        return self.dialogue.find(turn)

    async def reply(
        self, session_id: str, exchange: GlmExchange, outlet: Outlet, trace: Trace
    ) -> None:
        """Think and speak, which is one."""
        prompt = self.dialogue.prompt(exchange)
        seed = crc32(f"{session_id}/{exchange.turn}".encode())
        made = self.tokens.answer(self.slot, prompt, self.max_reply_tokens, seed)
        reply = GlmReply(session_id, self.tokenizer, exchange, outlet, trace, self.with_states)
        await reply.run(made)
        speech_s = exchange.audio_tokens * AUDIO_TOKEN_US / 1e6
        self.metrics.replied(reply.work, speech_s, trace)

    async def close(self) -> None:
        """Free the slot."""
        await self.tokens.free(self.slot)
