"""A fast tokenizer from the hub's files: byte-pair ranks, special tokens, and the pattern.

The hub ships `tokenizer.model` (tiktoken ranks: a base64 token and its rank in each line) and a
slow tokenizer in Python. The ranks and the specials are all that is needed; ids stay as they are.
"""

import base64
import binascii
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors
from tokenizers import Regex as PatternOf
from tokenizers.models import BPE
from transformers.convert_slow_tokenizer import TikTokenConverter

from thinker_server.errors import WeightsUnusable
from thinker_server.glm4voice.checkpoint import read_json

FAST_FILE = "tokenizer.json"
RANKS_FILE = "tokenizer.model"
SETTINGS_FILE = "tokenizer_config.json"
ADDED_FILE = "added_tokens.json"
PREFIX = ("[gMASK]", "<sop>")
"""What every prompt begins with."""


class _Ranks(TikTokenConverter):
    """transformers' converter, reading the ranks without the tiktoken package."""

    @staticmethod
    def load_tiktoken_bpe(tiktoken_url: str) -> dict[bytes, int]:
        """Ranks of all tokens in a file. Raises WeightsUnusable."""
        ranks: dict[bytes, int] = {}
        try:
            for line in Path(tiktoken_url).read_bytes().splitlines():
                if line:
                    token, rank = line.split()
                    ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (OSError, ValueError, binascii.Error) as error:
            raise WeightsUnusable(f"{tiktoken_url} cannot be read ({error}): fetch it again") from (
                None
            )
        return ranks


def write_fast_tokenizer(source: Path, target: Path) -> None:
    """Put `tokenizer.json` into `target`; a ready one in `source` is taken as it is."""
    if (source / FAST_FILE).exists():
        shutil.copyfile(source / FAST_FILE, target / FAST_FILE)
        return
    fast_tokenizer(source / RANKS_FILE, special_ids(source)).save(str(target / FAST_FILE))


def fast_tokenizer(ranks_file: Path, specials: Mapping[str, int]) -> Tokenizer:
    """A tokenizer that encodes as the hub's slow one does, with `[gMASK]<sop>` in front."""
    converter = _Ranks(str(ranks_file))  # type: ignore[no-untyped-call]
    ranks, merges = converter.extract_vocab_merges_from_model(str(ranks_file))
    # In the model's own vocabulary the specials keep their ids, whatever gaps lie between them.
    model = BPE(ranks | dict(specials), merges, fuse_unk=False, ignore_merges=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(PatternOf(converter.pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(name, normalized=False, special=True) for name in specials]
    )
    if missing := [name for name in PREFIX if name not in specials]:
        raise WeightsUnusable(f"the tokenizer has no {missing[0]}: is it glm-4-voice-9b's?")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{' '.join(PREFIX)} $A",
        special_tokens=[(name, specials[name]) for name in PREFIX],
    )
    return tokenizer


def special_ids(source: Path) -> dict[str, int]:
    """Special and audio tokens by name, from the files that the hub keeps them in."""
    found: dict[str, int] = {}
    decoder: dict[str, Any] = read_json(source / SETTINGS_FILE).get("added_tokens_decoder", {})
    found |= {entry["content"]: int(token_id) for token_id, entry in decoder.items()}
    if (source / ADDED_FILE).exists():
        found |= {name: int(token_id) for name, token_id in read_json(source / ADDED_FILE).items()}
    if not found:
        raise WeightsUnusable(f"{source / SETTINGS_FILE} lists no special tokens: fetch it again")
    return dict(sorted(found.items(), key=lambda item: item[1]))
