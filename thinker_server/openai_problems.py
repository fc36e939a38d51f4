"""Why an OpenAI-compatible server refused, as far as callers and logs may be told.

Its own sentences may repeat the prompt or a part of the key, so only its code names are passed on.
Pure.
"""

import json
import re
from typing import Any, Final

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{2,47}")


def named(problem: Any) -> str:
    """The code names in a server's `error` object, such as " (model_not_found)"; else nothing."""
    told = [problem.get(field) for field in ("type", "code")] if isinstance(problem, dict) else []
    names = [name for name in told if isinstance(name, str) and _NAME.fullmatch(name)]
    return f" ({', '.join(dict.fromkeys(names))})" if names else ""


def refusal(status: int, body: bytes) -> str:
    """Such as "404 (model_not_found)"."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    problem = told.get("error") if isinstance(told, dict) else None
    return f"{status}{named(problem)}"
