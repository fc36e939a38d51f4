"""`python -m thinker_server.glm4voice convert HUB_DIR TARGET_DIR`: convert the language model."""

import argparse
import sys
from pathlib import Path

from thinker_server.errors import WeightsUnusable
from thinker_server.glm4voice.convert import convert_language_model


def main() -> int:
    """Exit code 0 when the target is there, 2 when the files are at fault."""
    parser = argparse.ArgumentParser(prog="python -m thinker_server.glm4voice")
    commands = parser.add_subparsers(dest="command", required=True)
    convert = commands.add_parser("convert", help="the hub's glm-4-voice-9b for this program")
    convert.add_argument("source", type=Path, help="directory with the hub's files")
    convert.add_argument("target", type=Path, help="directory to make")
    options = parser.parse_args()
    try:
        convert_language_model(options.source, options.target, on_progress=_show)
    except WeightsUnusable as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    print(f"\nconverted into {options.target}")
    return 0


def _show(done: int, total: int) -> None:
    print(f"\r{done} of {total} tensors", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
