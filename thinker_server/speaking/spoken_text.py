"""What of a written reply may reach the voice: no markdown, emoji, URLs, code or marks of mood.

Numbers, money, units, dates and abbreviations stay as they are: the voices' own normaliser reads
them out (hibari.g2p.normalize).
"""

import re
import unicodedata

from thinker_server.speaking.mood import without_marks

WEBSITE = "the website"
EMAIL_ADDRESS = "the email address"
KEPT_SYMBOLS = frozenset("$£€¥₹%°+=#&@/¢")
"""Symbols that the pronunciation knows how to read."""

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, flags), replacement)
    for pattern, flags, replacement in (
        (r"```.*?(?:```|\Z)", re.DOTALL, " "),  # code blocks
        (r"!\[[^\]]*\]\([^)]*\)", 0, " "),  # images
        (r"\[([^\]]+)\]\((?:[^)]*)\)", 0, r"\1"),  # links keep their text
        (r"<(https?://[^>]+)>", 0, r"\1"),
        (r"</?[a-zA-Z][^>]*>", 0, " "),  # HTML and special tokens
        (r"<\|[^>]*\|>", 0, " "),
        (r"(?:https?://|ftp://|www\.)[^\s<>()\"]*[^\s<>()\".,;:!?]", 0, WEBSITE),
        (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", 0, EMAIL_ADDRESS),
        (r"\b(?:[\w-]+\.)+(?:com|org|net|edu|gov|io|ai)(?:/\S*[\w/])?(?!\w|\.\w)", re.I, WEBSITE),
        (r"^\s{0,3}#{1,6}\s+", re.M, ""),  # headings
        (r"^\s*>\s?", re.M, ""),  # quotations
        (r"^\s*(?:[-*+•]|\d{1,2}[.)])\s+", re.M, ""),  # lists
        (r"^\s*(?:[-*_=]\s*){3,}$", re.M, " "),  # rules
        (r"(?<!\w)[:;=8][-']?[)(DPpOo/\\|*](?!\w)", 0, " "),  # emoticons
        (r"<3", 0, " "),
        (r"(?<=\d)\s*[*×]\s*(?=\d)", 0, " times "),
        (r"(\*\*|__|~~)", 0, ""),
        (r"(?<!\w)[*_]+|[*_]+(?!\w)", 0, ""),  # emphasis
        (r"[`|\\]", 0, " "),
        (r"_", 0, " "),
        (r"[{}\[\]<>^~]", 0, " "),
    )
)
_VARIATION_SELECTORS = "\ufe0e\ufe0f"
_BLANKS = re.compile(r"\s+")
_LOOSE_PUNCTUATION = re.compile(r"\s+(?=[.,;:!?…])")
_NOTHING_SAID = re.compile(r"[^\w]*")


def spoken_text(written: str) -> str:
    """The words to be spoken, separated by single blanks; empty when nothing can be said."""
    text = without_marks(written)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = "".join(c if _speakable(c) else " " for c in unicodedata.normalize("NFC", text))
    text = _LOOSE_PUNCTUATION.sub("", _BLANKS.sub(" ", text)).strip()
    words = [word for word in text.split(" ") if word.strip("\"'“”‘’()-–")]
    text = " ".join(words).lstrip(".,;:!?… ")
    return "" if _NOTHING_SAID.fullmatch(text) else text


def _speakable(character: str) -> bool:
    """Letters, digits, punctuation and a few symbols; no emoji, joiners or control characters."""
    if character in KEPT_SYMBOLS or character == " ":
        return True
    if character in _VARIATION_SELECTORS:
        return False
    category = unicodedata.category(character)
    return category[0] in "LNP" or (category in ("Mn", "Mc", "Zs"))
