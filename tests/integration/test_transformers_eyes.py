"""Eyes of a real transformers class, tiny and random: they look, and say what cannot be loaded."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertTokenizerFast,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from tests.unit.thinker_server.seeing.doubles import FRAME
from thinker_server.config import ThinkerConfig
from thinker_server.errors import EyesUnavailable
from thinker_server.seeing.choice import choose_eyes
from thinker_server.seeing.glance import Glance

pytestmark = pytest.mark.integration

SPECIALS = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
WORDS = ["a", "person", "cat", "sits", "cup"]
TEMPLATE = (
    "{% for m in messages %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image> {% else %}{{ c['text'] }} {% endif %}"
    "{% endfor %}{% endfor %}"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA of two layers that knows five words, as the hub would hold it."""
    vocabulary = {word: i for i, word in enumerate([*SPECIALS, *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>"],
    )
    size = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    geometry = LlavaConfig(
        vision_config=CLIPVisionConfig(
            **size, num_hidden_layers=2, image_size=28, patch_size=14, projection_dim=16
        ),
        text_config=LlamaConfig(**size, num_hidden_layers=1, vocab_size=len(vocabulary)),
        image_token_index=vocabulary["<image>"],
    )
    torch.manual_seed(0)
    random = LlavaForConditionalGeneration(geometry)
    with torch.no_grad():  # it says words, and never ends by itself
        random.lm_head.weight[: len(SPECIALS)] = 0
        random.lm_head.weight[len(SPECIALS) :] *= 100
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
        ),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
    directory = tmp_path_factory.mktemp("llava")
    random.save_pretrained(directory)
    processor.save_pretrained(directory)
    return directory


async def test_a_model_of_a_hub_class_describes_a_picture_in_so_many_tokens(model: Path) -> None:
    eyes = choose_eyes(ThinkerConfig(eyes=str(model), eyes_max_tokens=8, eyes_wait_s=10))
    assert eyes is not None
    said = await eyes.describe(Image.new("RGB", (64, 36), "red"))
    assert len(said.split()) == 8
    assert set(said.split()) <= set(WORDS), "neither the instruction nor the picture is repeated"
    glance = Glance(eyes, wait_s=60)
    await glance.look(FRAME)
    assert set((await glance.words()).split()) <= set(WORDS)
    assert glance.problem is None
    await eyes.close()


async def test_a_model_that_cannot_be_asked_says_what_it_sees(tmp_path: Path) -> None:
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    size = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    reads = {"vocab_size": len(vocabulary), "encoder_hidden_size": 16}
    ends = {"bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    geometry = BlipConfig(
        text_config={**size, **reads, **ends},
        vision_config={**size, "image_size": 28, "patch_size": 14},
    )
    torch.manual_seed(0)
    random = BlipForConditionalGeneration(geometry)
    with torch.no_grad():
        random.text_decoder.cls.predictions.decoder.bias[4:] += 10
    random.save_pretrained(tmp_path)
    images = BlipImageProcessorPil(size={"height": 28, "width": 28})
    BlipProcessor(images, BertTokenizerFast(vocab=vocabulary)).save_pretrained(tmp_path)
    eyes = choose_eyes(ThinkerConfig(eyes=str(tmp_path), eyes_max_tokens=8, eyes_wait_s=10))
    assert eyes is not None
    said = (await eyes.describe(Image.new("RGB", (64, 36), "red"))).split()
    assert said
    assert set(said) <= set(WORDS)
    await eyes.close()


@pytest.mark.parametrize("files", [{}, {"config.json": '{"model_type": "gpt2"}'}])
def test_what_is_no_vision_language_model_is_refused_by_name(
    files: dict[str, str], tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(EyesUnavailable, match=r"cannot be loaded .*xstreamer\.toml"):
        choose_eyes(ThinkerConfig(eyes=str(tmp_path)))
