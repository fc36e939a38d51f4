"""Tokens to mel: every recorded number at its tolerance, from the first layer to the last."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from actor_server.speech.flow import euler_steps
from actor_server.speech.mel_clock import mel_frames
from actor_server.speech.token_encoder import distance_table
from tests.unit.actor_server.speech.golden import close, facts, numbers, tiny_flow

pytestmark = pytest.mark.unit

RECORDED = numbers("m3_flow_tiny")
FACTS = facts("m3_flow_tiny")
TOKENS = RECORDED["in.tokens"].long()
NOTHING_KNOWN = torch.zeros(1, 80, 0)
MEAN = FACTS["tolerances"]["encoder/mu"]
ESTIMATOR = FACTS["tolerances"]["estimator"]
MEL = FACTS["tolerances"]["mel"]


class Tap:
    """Keeps what modules received and gave."""

    def __init__(self) -> None:
        self.given: dict[str, list[Tensor]] = {}
        self.received: dict[str, list[Tensor]] = {}

    def on(self, module: nn.Module, name: str) -> None:
        def note(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            self.received.setdefault(name, []).append(inputs[0])
            self.given.setdefault(name, []).append(output)

        module.register_forward_hook(note)


@pytest.fixture(scope="module")
def tap() -> Tap:
    """A whole case A with taps on the way."""
    flow, tap = tiny_flow(), Tap()
    named = {
        "enc_layer0": "encoder.encoders.0",
        "encoder_out": "encoder",
        "time_emb": "decoder.estimator.time_mlp",
        "down0_resnet": "decoder.estimator.down_blocks.0.0",
        "down0_tf0": "decoder.estimator.down_blocks.0.1.0",
        "mid0_resnet": "decoder.estimator.mid_blocks.0.0",
        "up1_resnet": "decoder.estimator.up_blocks.1.0",
        "velocity": "decoder.estimator",
    }
    for name, path in named.items():
        tap.on(flow.get_submodule(path), name)
    flow(TOKENS[:, :15], NOTHING_KNOWN, RECORDED["in.noise_A"])
    return tap


def test_distances_are_written_as_waves() -> None:
    close(distance_table(15, 32)[None], RECORDED["mid.A_enc_pos_emb"], **MEAN)


def test_the_encoder_agrees_layer_by_layer(tap: Tap) -> None:
    close(tap.received["enc_layer0"][0], RECORDED["mid.A_enc_embed"], **MEAN)
    close(tap.given["enc_layer0"][0], RECORDED["mid.A_enc_layer0"], **MEAN)
    close(tap.given["encoder_out"][0], RECORDED["mid.A_encoder_out"], **MEAN)


def test_the_mean_mel_agrees_with_and_without_a_prompt() -> None:
    flow = tiny_flow()
    close(flow.mean_mel(TOKENS[:, :15], 103), RECORDED["mid.A_mu"], **MEAN)
    close(flow.mean_mel(TOKENS, 186), RECORDED["mid.B_mu"], **MEAN)


def test_a_speaker_is_normalised_and_nobody_is_the_released_voice() -> None:
    flow = tiny_flow()
    close(flow.voice(RECORDED["in.embedding_E"]), RECORDED["mid.E_spk"], **MEAN)
    close(flow.voice(None), RECORDED["mid.A_spk"], **MEAN)


@pytest.mark.parametrize(
    ("name", "recorded"),
    [
        ("down0_resnet", "A_down0_resnet"),
        ("down0_tf0", "A_down0_tf0"),
        ("mid0_resnet", "A_mid0_resnet"),
        ("up1_resnet", "A_up1_resnet"),
    ],
)
def test_the_estimator_agrees_on_its_way(tap: Tap, name: str, recorded: str) -> None:
    close(tap.given[name][0][:1], RECORDED[f"mid.{recorded}"], **ESTIMATOR)


def test_the_estimators_inputs_agree(tap: Tap) -> None:
    close(tap.given["time_emb"][0][:1], RECORDED["mid.A_time_emb_step0"], **ESTIMATOR)
    close(tap.received["mid0_resnet"][0][:1], RECORDED["mid.A_mid0_in"], **ESTIMATOR)
    close(tap.received["up1_resnet"][0][:1], RECORDED["mid.A_up1_in"], **ESTIMATOR)


def test_both_velocities_of_the_first_step_agree(tap: Tap) -> None:
    close(tap.given["velocity"][0][:1], RECORDED["mid.A_v_cond_step0"], **ESTIMATOR)
    close(tap.given["velocity"][0][1:], RECORDED["mid.A_v_uncond_step0"], **ESTIMATOR)


def test_every_step_of_the_flow_agrees(tap: Tap) -> None:
    steps = torch.stack([inputs[:1, :80] for inputs in tap.received["velocity"]])
    close(steps, RECORDED["mid.A_x_steps"][:-1], **MEL)
    times = torch.tensor([time for time, _ in euler_steps()])
    close(times, RECORDED["mid.A_t_steps"], atol=1e-7)


def test_the_mel_agrees_without_a_prompt() -> None:
    mel = tiny_flow()(TOKENS[:, :15], NOTHING_KNOWN, RECORDED["in.noise_A"])
    close(mel, RECORDED["out.mel_A"], **MEL)


def test_the_mel_agrees_after_known_frames() -> None:
    known = RECORDED["in.prompt_feat_B"].transpose(1, 2)
    close(tiny_flow()(TOKENS, known, RECORDED["in.noise_B"]), RECORDED["out.mel_B"], **MEL)


def test_the_mel_agrees_in_another_voice() -> None:
    speaker = RECORDED["in.embedding_E"]
    mel = tiny_flow()(TOKENS[:, :15], NOTHING_KNOWN, RECORDED["in.noise_A"], speaker)
    close(mel, RECORDED["out.mel_E"], **MEL)


def test_a_token_is_final_when_its_block_of_ten_is_complete() -> None:
    flow = tiny_flow()
    short = flow.encoder(flow.input_embedding(TOKENS[:, :14]))
    whole = flow.encoder(flow.input_embedding(TOKENS))
    close(short[:, :10], whole[:, :10], **MEAN)
    assert (short[:, 10:] - whole[:, 10:14]).abs().max() > 0.01


def test_mel_frames_are_counted_as_the_weights_were_trained() -> None:
    recorded = {int(n): frames for n, frames in FACTS["mel_frames_of_n_tokens"].items()}
    assert {tokens: mel_frames(tokens) for tokens in recorded} == recorded
    for tokens, single, *_ in FACTS["mel_frames_float32_deviations_n_f32_f64_exact"]:
        assert mel_frames(tokens) == single
