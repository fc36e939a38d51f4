"""ONNX graphs with one inner value made an output: the voices' predicted durations."""

from pathlib import Path
from typing import Any

import onnx
import onnxruntime


def expose(model: Path, value: str) -> onnx.ModelProto:
    """The model with the inner value `value` added to its outputs."""
    graph = onnx.load(str(model))
    if not any(value in node.output for node in graph.graph.node):
        raise ValueError(f"{model.name} has no value {value}: not the release this voice is for")
    graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(value))
    return graph


def session(model: str | bytes, threads: int) -> onnxruntime.InferenceSession:
    """A CPU session that gives memory back: the arena would keep the longest sentence's peak."""
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
