"""One answer from the model's tokens to messages: parts for the Actor, words for the agent."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from time import monotonic

from proto.message import Message
from proto.messages import TextDelta, TurnState
from proto.time_law import SEGMENT_AUDIO_TOKENS, SEGMENT_TEXT_SLOTS
from thinker_server.glm4voice.dialogue import GlmExchange
from thinker_server.glm4voice.generation import Emitted
from thinker_server.glm4voice.segmenter import TokenPart, TokenSegmenter
from thinker_server.glm4voice.tokenizer import GlmTokenizer, TextPieces
from thinker_server.outlet import Outlet
from thinker_server.reply import ReplyWork
from thinker_server.segments.spoken_reply import Caption
from thinker_server.trace import FIRST_TOKEN, SPEECH_READY, Trace

_TOKENS_PER_SLOT = SEGMENT_AUDIO_TOKENS // SEGMENT_TEXT_SLOTS


class GlmReply:
    """Takes one answer's tokens as they come and puts its messages into the outlet."""

    def __init__(
        self,
        session_id: str,
        tokenizer: GlmTokenizer,
        exchange: GlmExchange,
        outlet: Outlet,
        trace: Trace,
        with_states: bool,
    ) -> None:
        self.work = ReplyWork()
        self._session_id = session_id
        self._tokenizer = tokenizer
        self._exchange = exchange
        self._outlet = outlet
        self._trace = trace
        self._with_states = with_states
        self._segmenter = TokenSegmenter()
        self._pieces = TextPieces(tokenizer)
        self._captions: list[Caption] = []
        self._segment, self._written = 0, 0

    async def run(self, tokens: AsyncGenerator[Emitted, None]) -> None:
        """Work until the answer ends. Raises what the tokens raise."""
        started = monotonic()
        async with aclosing(tokens) as made:
            async for token in made:
                self._trace.mark(FIRST_TOKEN)
                self.work.tokens += 1
                self.work.thinking_s = monotonic() - started
                if token.token_id not in self._tokenizer.stop_ids:
                    self._exchange.answer.append(token.token_id)
                    await self._take(token)
        await self._send(self._segmenter.end())

    async def _take(self, token: Emitted) -> None:
        tokenizer = self._tokenizer
        if tokenizer.is_code(token.token_id):
            code = token.token_id - tokenizer.first_code
            if (part := self._segmenter.add_code(code, token.state)) is not None:
                await self._send(part)
        elif tokenizer.is_text(token.token_id):
            self._segmenter.add_text(token.token_id, token.state)
            self._write(tokenizer, token.token_id)

    def _write(self, tokenizer: GlmTokenizer, token_id: int) -> None:
        """Words are shown evenly over the segment that begins with them."""
        segment = self._segmenter.tokens // SEGMENT_AUDIO_TOKENS
        if segment != self._segment:
            self._segment, self._written = segment, 0
        within = min(self._written * _TOKENS_PER_SLOT, SEGMENT_AUDIO_TOKENS - 1)
        self._written += 1
        if piece := self._pieces.push(token_id):
            self._captions.append(Caption(piece, segment * SEGMENT_AUDIO_TOKENS + within))

    async def _send(self, part: TokenPart | None) -> None:
        """A part, and the words that were written up to it."""
        if part is not None:
            self._trace.mark(SPEECH_READY)
            if part.first_token == 0:
                await self._outlet.put("agent", self._speaking)
            self._exchange.audio_tokens += len(part.spoken)
            await self._outlet.put("actor", partial(self._hidden_chunk, part))
        captions, self._captions = self._captions, []
        for caption in captions:
            await self._outlet.put("agent", partial(self._text_delta, caption))

    def _speaking(self, epoch: int, turn: int) -> Message:
        return TurnState(session_id=self._session_id, epoch=epoch, turn=turn, state="speaking")

    def _hidden_chunk(self, part: TokenPart, epoch: int, turn: int) -> Message:
        message = part.message(self._session_id, epoch, turn, self._with_states)
        return self._trace.on(message) if part.first_token == 0 else message

    def _text_delta(self, caption: Caption, epoch: int, turn: int) -> Message:
        message = TextDelta(
            session_id=self._session_id,
            epoch=epoch,
            turn=turn,
            text=caption.text,
            first_token=caption.first_token,
        )
        return self._trace.on(message) if caption.first_token == 0 else message
