"""The table of stages from the traces of a call."""

from typing import Any

import pytest

from services.callbench.stages import stage_figures

pytestmark = pytest.mark.unit


def a_trace(decode_ms: float, face_ms: float | None, *, typed: bool = False) -> dict[str, Any]:
    stage = {"name": "decode", "label": "First chunk drawn", "start_ms": 100.0}
    return {
        "stages": [{**stage, "end_ms": 100.0 + decode_ms}],
        "voice_to_voice_ms": None,
        "voice_to_face_ms": face_ms,
        "typed": typed,
    }


def test_stages_are_summed_up_over_the_turns_that_had_them() -> None:
    spoken = [a_trace(10, 600), a_trace(20, None), a_trace(30, 800)]
    decode, face = stage_figures([*spoken, a_trace(1, 100, typed=True)])
    assert (decode.name, decode.turns, decode.p50_ms) == ("decode", 3, 20)
    assert decode.p95_ms == pytest.approx(29)
    assert (face.name, face.turns, face.p50_ms) == ("voice_to_face", 2, 700)


def test_a_call_without_traces_has_no_table() -> None:
    assert stage_figures([]) == []
