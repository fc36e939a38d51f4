"""GLM-4-Voice's engine on a GPU: replayed graphs give what the plain steps give."""

import pytest
import torch
from transformers import GlmForCausalLM

from tests.unit.thinker_server.glm4voice.fixtures import tiny_language_model
from thinker_server.glm4voice.decoder import GlmDecoder
from thinker_server.glm4voice.generation import Generation
from thinker_server.glm4voice.sampler import Sampling

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]

SAMPLING = Sampling(temperature=1.0, top_p=0.9, size=320)


def answers(model: GlmForCausalLM, graphs: bool) -> dict[int, list[int]]:
    """Tokens of three sessions of different lengths; the third joins late."""
    decoder = GlmDecoder(model, SAMPLING, slots=4, context_tokens=1200)
    if graphs:
        decoder.capture()
    work = Generation(decoder, frozenset({7}))
    made: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for slot, length in enumerate((5, 600)):
        assert work.open() == slot
        work.begin(slot, list(range(8, 8 + length % 300)) * (1 + length // 300), 40, seed=slot)
    for step in range(200):
        if step == 10:
            work.begin(work.open(), list(range(20, 60)), 40, seed=2)
        for one in work.step():
            made[one.slot].append(one.token_id)
    return made


def test_graphs_answer_as_plain_steps_do() -> None:
    model = tiny_language_model("cuda")
    plain, replayed = answers(model, graphs=False), answers(model, graphs=True)
    assert replayed == plain
    assert all(len(tokens) > 5 for tokens in plain.values())


def test_the_gpu_answers_as_the_cpu_does() -> None:
    cpu = answers(tiny_language_model(), graphs=False)
    gpu = answers(tiny_language_model("cuda"), graphs=True)
    assert gpu == cpu
