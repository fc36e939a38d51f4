"""How much GPU memory this process holds, for its metrics; loads nothing to find out."""

import sys


def gpu_memory_bytes() -> float:
    """What torch has reserved; 0 without CUDA, or where torch was never loaded."""
    torch = sys.modules.get("torch")
    return float(torch.cuda.memory_reserved()) if torch and torch.cuda.is_available() else 0.0
