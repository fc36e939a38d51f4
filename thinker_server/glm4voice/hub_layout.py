"""The hub's ChatGLM tensors, and what each becomes in transformers' GlmForCausalLM.

Source: the two state dicts; equality of the models is proved by tests against recorded numbers.
"""

from collections.abc import Iterator

import torch

from thinker_server.glm4voice.geometry import GlmGeometry

IGNORED = frozenset({"transformer.rotary_pos_emb.inv_freq"})
"""Computed anew from the configuration; may be there or not."""
_WHOLE = {
    "transformer.embedding.word_embeddings.weight": "model.embed_tokens.weight",
    "transformer.encoder.final_layernorm.weight": "model.norm.weight",
    "transformer.output_layer.weight": "lm_head.weight",
}
_LAYER_PREFIX = "transformer.encoder.layers."
_FUSED = "self_attention.query_key_value"
_OF_LAYER = {
    "input_layernorm.weight": "input_layernorm.weight",
    "self_attention.dense.weight": "self_attn.o_proj.weight",
    "post_attention_layernorm.weight": "post_attention_layernorm.weight",
    "mlp.dense_h_to_4h.weight": "mlp.gate_up_proj.weight",
    "mlp.dense_4h_to_h.weight": "mlp.down_proj.weight",
}


def hub_shapes(geometry: GlmGeometry) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that the hub's files must hold."""
    g = geometry
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.embedding.word_embeddings.weight": (g.vocabulary, g.width)
    }
    for layer in range(g.layers):
        for name, shape in _layer_shapes(g).items():
            shapes[f"{_LAYER_PREFIX}{layer}.{name}"] = shape
    shapes["transformer.encoder.final_layernorm.weight"] = (g.width,)
    shapes["transformer.output_layer.weight"] = (g.vocabulary, g.width)
    return shapes


def _layer_shapes(g: GlmGeometry) -> dict[str, tuple[int, ...]]:
    return {
        "input_layernorm.weight": (g.width,),
        f"{_FUSED}.weight": (sum(g.fused_rows), g.width),
        f"{_FUSED}.bias": (sum(g.fused_rows),),
        "self_attention.dense.weight": (g.width, g.width),
        "post_attention_layernorm.weight": (g.width,),
        "mlp.dense_h_to_4h.weight": (2 * g.ffn_width, g.width),
        "mlp.dense_4h_to_h.weight": (g.width, g.ffn_width),
    }


def native_tensors(
    name: str, tensor: torch.Tensor, geometry: GlmGeometry
) -> Iterator[tuple[str, torch.Tensor]]:
    """What one hub tensor becomes: itself under another name, or queries, keys and values."""
    if name in _WHOLE:
        yield _WHOLE[name], tensor
        return
    layer, _, rest = name.removeprefix(_LAYER_PREFIX).partition(".")
    target = f"model.layers.{layer}."
    if rest in _OF_LAYER:
        yield target + _OF_LAYER[rest], tensor
        return
    kind = rest.removeprefix(f"{_FUSED}.")
    for part, rows in zip("qkv", torch.split(tensor, list(geometry.fused_rows)), strict=True):
        yield f"{target}self_attn.{part}_proj.{kind}", rows.clone()
