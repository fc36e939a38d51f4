"""Whisper's adapter on a tiny random model: its language is the model's, long speech is read."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizerFast,
)
from transformers.convert_slow_tokenizer import bytes_to_unicode

from actor_server.training.curation.whisper import Whisper
from proto.time_law import HEARING_HZ

pytestmark = pytest.mark.unit

MARKS = (
    *("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>", "<|translate|>"),
    *("<|transcribe|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
)
TIMES = tuple(f"<|{hundredths / 100:.2f}|>" for hundredths in range(0, 3001, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every byte is a token; Chinese is a little likelier than English."""
    out = tmp_path_factory.mktemp("whisper")
    letters = {letter: place for place, letter in enumerate(bytes_to_unicode().values())}
    tokenizer = Tokenizer(models.BPE(letters, []))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([*MARKS, *TIMES])
    ids = {mark: tokenizer.token_to_id(mark) for mark in (*MARKS, *TIMES)}
    fast = WhisperTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<|endoftext|>",
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
    )
    fast.save_pretrained(out)
    WhisperFeatureExtractor().save_pretrained(out)
    marks = {
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|endoftext|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "decoder_start_token_id": ids["<|startoftranscript|>"],
    }
    config = WhisperConfig(
        vocab_size=len(tokenizer.get_vocab()),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_target_positions=24,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        **marks,
    )
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        **marks,
        is_multilingual=True,
        lang_to_id={mark: ids[mark] for mark in ("<|en|>", "<|zh|>")},
        task_to_id={"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]},
        no_timestamps_token_id=ids["<|notimestamps|>"],
        prev_sot_token_id=ids["<|startofprev|>"],
        max_length=24,
    )
    model.save_pretrained(out)
    return out


@pytest.mark.parametrize("seconds", [2, 35])
def test_language_and_words_are_the_models(folder: Path, seconds: int) -> None:
    speech = np.random.default_rng(0).normal(0, 0.1, seconds * HEARING_HZ).astype(np.float32)
    language, words = Whisper(str(folder)).transcribe(speech)
    assert language in ("en", "zh")
    assert words
    assert "<|" not in words


def test_chinese_is_written_by_paraformer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Paraformer:
        def generate(self, input: np.ndarray) -> list[dict[str, str]]:  # noqa: A002 - FunASR's
            return [{"key": "0", "text": f"{len(input)} 你 好"}]

    transcriber = Whisper(str(folder))
    monkeypatch.setattr(transcriber, "_chinese", Paraformer())
    written = {}
    for mark in ("<|en|>", "<|zh|>"):
        spoken = torch.tensor([transcriber._processor.tokenizer.convert_tokens_to_ids(mark)])
        monkeypatch.setattr(transcriber._model, "detect_language", lambda *_, said=spoken: said)
        language, words = transcriber.transcribe(np.zeros(HEARING_HZ, np.float32))
        written[language] = words
    assert written["zh"] == "16000你好"
    assert "你好" not in written["en"]


def test_an_english_whisper_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = WhisperForConditionalGeneration.from_pretrained(folder)
    loaded.generation_config.is_multilingual = False
    monkeypatch.setattr(WhisperForConditionalGeneration, "from_pretrained", lambda *_, **__: loaded)
    with pytest.raises(ValueError, match="knows English only: take a multilingual"):
        Whisper(str(folder))
