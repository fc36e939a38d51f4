"""A written answer as if a brain had given it: tokens with the states that predicted them."""

from collections.abc import Sequence

from thinker_server.brain.brain import BrainToken, ChatMessage
from thinker_server.brain.kv_context import KVContext
from thinker_server.brain.transformers_brain import TextPieces, TransformersBrain, wire_state


class AnswerForcer:
    """Keeps what the prompts have in common. Not thread-safe."""

    def __init__(self, brain: TransformersBrain) -> None:
        self._brain = brain
        self._context = KVContext(brain.model)

    def tokens(self, messages: Sequence[ChatMessage], answer: str) -> list[BrainToken]:
        """Tokens of `answer` to `messages`, one prefill for all of them."""
        ids = self._brain.tokenizer.encode(answer, add_special_tokens=False)
        self._context.begin(self._brain.ids(messages, answer=True))
        pieces = TextPieces(self._brain.tokenizer)
        return [
            BrainToken(token_id, pieces.push(token_id), wire_state(state))
            for token_id, state in zip(ids, self._context.force(ids), strict=True)
        ]
