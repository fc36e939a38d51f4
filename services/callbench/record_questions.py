"""Records the caller's questions: python -m services.callbench.record_questions."""

from pathlib import Path

import numpy as np
import soundfile
from hibari import Hibari

from services.callbench.questions import CLIP_HZ, questions

# A fixed seed makes every recording of the same text the same file.
SEED = 7
PEAK = 0.5


def main() -> None:
    """Write one FLAC file per question beside questions.json."""
    data = Path(__file__).parent / "data"
    voice = Hibari()
    for question in questions().values():
        spoken = np.asarray(voice(question.text, seed=SEED), np.float32)
        spoken *= PEAK / np.abs(spoken).max()
        soundfile.write(data / f"{question.id}.flac", spoken, CLIP_HZ, subtype="PCM_16")


if __name__ == "__main__":
    main()
