"""The choice of tokens is transformers' own, with the dice outside."""

import pytest
import torch
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from thinker_server.glm4voice.sampler import Sampling, choose, nucleus

pytestmark = pytest.mark.unit

ROWS, SIZE = 5, 400
LOGITS = torch.randn(ROWS, SIZE, generator=torch.Generator().manual_seed(3)) * 2


@pytest.mark.parametrize(("temperature", "top_p"), [(0.2, 0.8), (1.0, 1.0), (1.0, 0.5), (3.0, 0.9)])
def test_the_nucleus_is_that_of_transformers(temperature: float, top_p: float) -> None:
    ids = torch.zeros(ROWS, 0, dtype=torch.long)
    warped = TopPLogitsWarper(top_p)(ids, TemperatureLogitsWarper(temperature)(ids, LOGITS))
    weights, order = nucleus(LOGITS, Sampling(temperature, top_p, SIZE))
    ours = torch.zeros_like(LOGITS).scatter(1, order, weights / weights.sum(1, keepdim=True))
    torch.testing.assert_close(ours, warped.softmax(-1), atol=1e-6, rtol=1e-4)


def test_even_numbers_give_the_probabilities() -> None:
    logits = torch.tensor([[0.5, 0.25, 0.15, 0.1]]).log()
    numbers = (torch.arange(1000) + 0.5) / 1000
    ids = choose(logits.expand(1000, 4), numbers, Sampling(1.0, 1.0, 4))
    assert torch.bincount(ids).tolist() == pytest.approx([500, 250, 150, 100], abs=1)
    ids = choose(logits.expand(1000, 4), numbers, Sampling(1.0, 0.7, 4))
    assert torch.bincount(ids).tolist() == pytest.approx([667, 333], abs=1)


def test_a_row_does_not_depend_on_the_others() -> None:
    numbers = torch.tensor([0.0, 0.3, 0.6, 0.9, 0.999999])
    together = choose(LOGITS, numbers, Sampling(1.0, 0.9, SIZE))
    alone = [
        choose(LOGITS[i : i + 1], numbers[i : i + 1], Sampling(1.0, 0.9, SIZE)) for i in range(ROWS)
    ]
    assert torch.equal(together, torch.cat(alone))


def test_without_temperature_the_likeliest_is_taken() -> None:
    ids = choose(LOGITS, torch.rand(ROWS), Sampling(0.0, 1.0, SIZE))
    assert torch.equal(ids, LOGITS.argmax(1))


def test_rows_of_the_head_without_a_token_are_never_chosen() -> None:
    logits = LOGITS.clone()
    logits[:, 300:] = 100.0
    assert (choose(logits, torch.rand(ROWS), Sampling(1.0, 1.0, 300)) < 300).all()
    assert (choose(logits, torch.rand(ROWS), Sampling(0.0, 1.0, 300)) < 300).all()


@pytest.mark.parametrize(("temperature", "top_p"), [(-1.0, 0.5), (1.0, 0.0), (1.0, 1.5)])
def test_impossible_settings_are_refused(temperature: float, top_p: float) -> None:
    with pytest.raises(ValueError, match="no such sampling"):
        Sampling(temperature, top_p, 5)
