"""Which eyes a Thinker has: none, a server's, or a local model's."""

from pathlib import Path

from thinker_server.config import ThinkerConfig
from thinker_server.errors import EyesUnavailable
from thinker_server.seeing.eyes import Eyes

OPENAI = "openai"


def choose_eyes(config: ThinkerConfig) -> Eyes | None:
    """What the configuration asks for; None when the Thinker is blind. Raises EyesUnavailable."""
    if not config.eyes:
        return None
    if config.eyes == OPENAI:
        from thinker_server.seeing.openai_eyes import OpenAIEyes

        if not config.eyes_model:
            raise EyesUnavailable("eyes = openai needs eyes_model in [thinker] of xstreamer.toml")
        return OpenAIEyes(
            config.eyes_base_url or config.openai_base_url,
            config.eyes_model,
            config.openai_api_key.get_secret_value(),
            config.eyes_max_tokens,
        )
    # Only here: a Thinker without eyes of its own loads none of this.
    from thinker_server.brain.hub import hub_reachable
    from thinker_server.seeing.transformers_eyes import TransformersEyes

    directory = Path(config.eyes).expanduser()
    local = directory.is_dir()
    return TransformersEyes.load(
        str(directory) if local else config.eyes,
        fetch=not local and hub_reachable(),
        max_tokens=config.eyes_max_tokens,
        max_time_s=config.eyes_wait_s,
    )
