"""Everything that can be set about the Thinker; environment prefix XSTREAMER_THINKER_."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from proto.endpoints import THINKER_ENDPOINT

CACHE = Path("~/.cache/xstreamer")


class ThinkerConfig(BaseSettings):
    """Deployment of one Thinker process. Built once, in `__main__`."""

    model_config = SettingsConfigDict(
        env_prefix="XSTREAMER_THINKER_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    endpoint: str = THINKER_ENDPOINT
    """ZeroMQ address that the Thinker binds."""
    assets: Path = CACHE / "assets"
    """Directory of the fetched model files (read only)."""
    cache: Path = CACHE
    """Directory for what the Thinker makes itself: converted models, benchmark results."""
    log_level: str = "INFO"
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Prometheus port; 0 is off."""
    max_sessions: Annotated[int, Field(ge=1, le=256)] = 8

    backend: Literal["nano", "glm4voice"] = "nano"
    """`nano`: a recogniser, a chat model and a voice. `glm4voice`: one model that hears and speaks;
    the settings from `brain` to `voice_threads` are then unused, but for recognisers (captions)."""

    brain: str = "auto"
    """`auto`, `smollm2-135m`, `openai`, or a Hugging Face causal LM by id or directory."""
    openai_base_url: str = "http://127.0.0.1:11434/v1"
    openai_model: str = ""
    openai_api_key: SecretStr = SecretStr("")
    brain_min_tokens_per_s: Annotated[float, Field(gt=0)] = 12.0
    """`auto` takes no brain slower than this: speech uses about 4 tokens a second, but the first
    clause (about 10 tokens) must be there within a second."""
    torch_threads: Annotated[int, Field(ge=1, le=64)] = 1
    """One: two threads (25 instead of 18 tokens/s in bfloat16 on two idle cores) wait for each
    other by spinning, and fall below 1 token/s as soon as the cores are shared with a call."""
    context_tokens: Annotated[int, Field(ge=256, le=32_768)] = 1024
    max_reply_tokens: Annotated[int, Field(ge=8, le=512)] = 64
    max_reply_sentences: Annotated[int, Field(ge=1, le=16)] = 2
    first_clause_words: Annotated[int, Field(ge=3, le=30)] = 7
    """Speech starts after the first punctuation, or after this many words without one; slow voices
    start after fewer."""

    mood_by_words: bool = True
    """A clause that greets, thanks, wonders or apologises shows it (English words), unless the chat
    model writes marks itself. `nano` only."""
    mood_marks: bool = False
    """Tell the chat model that it may write marks such as [warm] and [look left]. For large ones:
    the shipped model of 135 M parameters cannot be relied on to. Marks are understood in any case,
    and a persona may ask for them too."""

    recognisers: dict[str, str] = {"en": "moonshine:tiny-en"}
    """Recogniser of each language (primary tag)."""
    voices: dict[str, str] = {"en": "hibari"}
    """Voice of each language for sessions that ask for the voice `default`."""
    voice_threads: Annotated[int, Field(ge=1, le=16)] = 2

    eyes: str = ""
    """Empty: blind. `openai`, or a Hugging Face image-text-to-text model by id or directory: while
    the caller's camera is switched on, each question comes with a sentence about what it shows."""
    eyes_base_url: str = ""
    """With `openai`: the server; empty: `openai_base_url`. The key is `openai_api_key`."""
    eyes_model: str = ""
    eyes_wait_s: Annotated[float, Field(gt=0, le=10)] = 1.5
    """After a camera frame came, no answer waits longer for its description."""
    eyes_max_tokens: Annotated[int, Field(ge=8, le=256)] = 48

    glm4voice_model: Path = CACHE / "converted" / "glm-4-voice-9b"
    """Directory of the converted language model."""
    glm4voice_speech_tokenizer: Path = CACHE / "assets" / "glm-4-voice-tokenizer"
    """Directory of the speech tokenizer as the hub has it."""
    glm4voice_device: str = "auto"
    """`auto` (the first GPU, else the CPU), `cpu`, `cuda:0`, ..."""
    glm4voice_number_type: Literal["auto", "bfloat16", "float32"] = "auto"
    """Of the language model. `auto`: bfloat16 on a GPU, float32 on the CPU."""
    glm4voice_context_tokens: Annotated[int, Field(ge=512, le=8192)] = 8192
    """The model knows no more. Each session's place in the cache takes 41 KB a token."""
    glm4voice_max_reply_tokens: Annotated[int, Field(ge=39, le=960)] = 960
    """Text and speech together: 39 tokens are 2.08 s, 960 are 51 s."""
    glm4voice_temperature: Annotated[float, Field(ge=0, le=2)] = 0.2
    glm4voice_top_p: Annotated[float, Field(gt=0, le=1)] = 0.8
    glm4voice_states: bool = False
    """Send the hidden states too, for an Actor that was trained on them (8 KB a token)."""

    curve_public_key: str = ""
    curve_secret_key: SecretStr = SecretStr("")
    curve_client_keys: tuple[str, ...] = ()
    """CURVE keys (Z85) for endpoints that leave this host; empty: none."""
    actor_curve_server_key: str = ""
    """The Actor's public key, where it demands CURVE."""

    @property
    def assets_dir(self) -> Path:
        """`assets` with the home directory filled in."""
        return self.assets.expanduser()

    @property
    def cache_dir(self) -> Path:
        """`cache` with the home directory filled in."""
        return self.cache.expanduser()
