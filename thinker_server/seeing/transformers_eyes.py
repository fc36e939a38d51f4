"""Any Hugging Face image-text-to-text model as eyes: one model, one worker thread."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.utils.logging import disable_progress_bar

from thinker_server.brain.weights import suitable_dtype
from thinker_server.errors import EyesUnavailable
from thinker_server.seeing.eyes import INSTRUCTION


class TransformersEyes:
    """A loaded model. `max_time_s` ends a description that nobody waits for any more."""

    def __init__(
        self, label: str, model: Any, processor: Any, max_tokens: int, max_time_s: float
    ) -> None:
        self.label = label
        self._model = model
        self._processor = processor
        self._limits = {"max_new_tokens": max_tokens, "max_time": max_time_s}
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="seeing")

    @classmethod
    def load(cls, source: str, fetch: bool, max_tokens: int, max_time_s: float) -> Self:
        """From a directory or a Hugging Face id; `fetch` allows downloading.

        Raises EyesUnavailable when there is no usable model under that name.
        """
        disable_progress_bar()  # type: ignore[no-untyped-call]  # a log file is no terminal
        try:
            processor = _processor(source, fetch)
            model: Any = AutoModelForImageTextToText.from_pretrained(
                source, dtype=suitable_dtype(), local_files_only=not fetch
            )
            model.to("cuda" if torch.cuda.is_available() else "cpu")
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise EyesUnavailable(
                f"the vision-language model {source} cannot be loaded "
                f"({str(error).strip().splitlines()[0]}); check the name, or set "
                'eyes = "" in [thinker] of xstreamer.toml'
            ) from error
        eyes = cls(source, model.eval(), processor, max_tokens, max_time_s)
        try:
            eyes._describe(Image.new("RGB", (512, 288)))  # the first time is slower, or impossible
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise EyesUnavailable(
                f"the vision-language model {source} cannot describe a picture ({error}); set "
                "another one as eyes in [thinker] of xstreamer.toml"
            ) from error
        return eyes

    async def describe(self, picture: Image.Image) -> str:
        """What the picture shows. Raises EyesUnavailable."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, partial(self._describe, picture))

    async def close(self) -> None:
        """End the worker thread after its current picture."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    @torch.inference_mode()
    def _describe(self, picture: Image.Image) -> str:
        inputs = self._inputs(picture).to(self._model.device)
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        try:
            made = self._model.generate(**inputs, do_sample=False, **self._limits)[0]
        except RuntimeError as error:  # of the device, such as memory that ran out
            raise EyesUnavailable(
                f"the vision-language model {self.label} gave up ({error}); set a smaller one as "
                "eyes in [thinker] of xstreamer.toml"
            ) from error
        read = inputs["input_ids"][0] if "input_ids" in inputs else made[:0]
        if len(made) >= len(read) and torch.equal(made[: len(read)], read):
            made = made[len(read) :]  # a model without an encoder repeats what it read
        return str(self._processor.decode(made, skip_special_tokens=True)).strip()

    def _inputs(self, picture: Image.Image) -> Any:
        """Chat models are asked; others (BLIP, GIT) say what they see unasked."""
        if getattr(self._processor, "chat_template", None) is None:
            return self._processor(images=picture, return_tensors="pt")
        shown = {"type": "image", "image": picture}
        asked = {"type": "text", "text": INSTRUCTION}
        return self._processor.apply_chat_template(
            [{"role": "user", "content": [shown, asked]}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )


def _processor(source: str, fetch: bool) -> Any:
    load: Any = AutoProcessor.from_pretrained  # which is without types
    return load(source, local_files_only=not fetch)
