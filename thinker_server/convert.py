"""`python -m thinker_server.convert`: make the converted chat model ahead of the first start."""

from thinker_server.brain.gguf_conversion import smollm2_directory
from thinker_server.config import ThinkerConfig


def main() -> None:
    """Convert unless done already, and say where the result is."""
    config = ThinkerConfig()
    print(smollm2_directory(config.assets_dir, config.cache_dir))


if __name__ == "__main__":
    main()
