"""Whether this process decodes speech, and with what."""

import logging
from pathlib import Path

from actor_server.config import SpeechKind
from actor_server.speech.stream import SpeechDecoder

log = logging.getLogger(__name__)


def choose_speech(kind: SpeechKind, weights: Path, device: str) -> SpeechDecoder | None:
    """The decoder that was asked for, warm; None where messages carry speech.

    Raises: SpeechWeightsUnusable.
    """
    if kind == "carried":
        return None
    # torch is for those who decode: it takes a second and 0.4 GB
    from actor_server.speech.glm4voice import Glm4VoiceSpeech

    decoder = Glm4VoiceSpeech.from_files(weights, device)
    decoder.warm_up()
    log.info("speech is decoded here", extra={"weights": str(weights), "device": decoder.device})
    return decoder
