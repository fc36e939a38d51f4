"""What the agent was heard to say, recognised from the received sound and nothing else."""

from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from services.callbench.waveform import Span, Waveform

RECOGNISER_HZ = 16_000
MARGIN_S = 0.3


def transcribe(sound: Waveform, spans: list[Span]) -> str:
    """Return the words spoken from the first span's start to the last one's end."""
    if not spans:
        return ""
    import moonshine_voice
    from moonshine_voice.moonshine_api import ModelArch
    from moonshine_voice.transcriber import Transcriber

    whole = Span(spans[0].start_s - MARGIN_S, spans[-1].end_s + MARGIN_S)
    heard = sound.between(whole)
    speech = resample_poly(heard.samples, RECOGNISER_HZ, heard.sample_hz).astype(np.float32)
    model = Path(moonshine_voice.__file__).parent / "assets" / "tiny-en"
    transcriber = Transcriber(str(model), ModelArch.TINY, options={"identify_speakers": "false"})
    try:
        transcript = transcriber.transcribe_without_streaming(speech.tolist(), RECOGNISER_HZ)
    finally:
        transcriber.close()
    return " ".join(line.text.strip() for line in transcript.lines)
