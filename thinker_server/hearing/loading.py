"""Recognisers by the names that configuration uses: `<library>:<model>`."""

from thinker_server.errors import AssetMissing
from thinker_server.hearing.recogniser import Recogniser


def load_recogniser(name: str) -> Recogniser:
    """The recogniser of that name. Raises AssetMissing, listing what exists."""
    library, _, model = name.partition(":")
    if library == "moonshine":
        from thinker_server.hearing.moonshine import MoonshineRecogniser

        return MoonshineRecogniser(model)
    raise AssetMissing(f"there is no recogniser {name!r}; there is: moonshine:tiny-en")
