"""The voices' phoneme alphabet (misaki) mapped to the 39 ARPAbet symbols and SIL.

Source: the alphabet of misaki's EN_PHONES, which Kokoro was trained on and hibari follows; ARPAbet
as in CMUdict without stress. Where English has a sound that ARPAbet lacks, the nearest mouth shape.
"""

SILENCE = "SIL"

ARPABET = frozenset(
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W "
    "Y Z ZH".split()
)

_VOWELS = {
    "A": "EY", "I": "AY", "O": "OW", "Q": "OW", "W": "AW", "Y": "OY",
    "a": "AE", "æ": "AE", "ɑ": "AA", "ɒ": "AA", "ɔ": "AO", "ə": "AH", "ᵊ": "AH", "ʌ": "AH",
    "ɐ": "AH", "ɛ": "EH", "e": "EH", "ɜ": "ER", "ɚ": "ER", "ɪ": "IH", "ᵻ": "IH", "ɨ": "IH",
    "i": "IY", "ʊ": "UH", "u": "UW", "o": "OW",
}  # fmt: skip
_CONSONANTS = {
    "b": "B", "d": "D", "f": "F", "h": "HH", "j": "Y", "k": "K", "l": "L", "m": "M", "n": "N",
    "p": "P", "r": "R", "s": "S", "t": "T", "v": "V", "w": "W", "x": "K", "z": "Z", "ɡ": "G",
    "ŋ": "NG", "ɹ": "R", "ɾ": "T", "ʃ": "SH", "ʒ": "ZH", "ð": "DH", "θ": "TH", "ʤ": "JH",
    "ʧ": "CH", "T": "T", "ʔ": "T",
}  # fmt: skip
SYMBOLS = _VOWELS | _CONSONANTS
STRESS = frozenset("ˈˌ")
"""Stress marks last some time of their own, which belongs to the sound that they announce."""
LENGTH = "ː"
PAUSES = frozenset(';:,.!?—…"()“”')
RHOTIC_VOWELS = frozenset("əɜɚ")
"""Before an r these merge with it into ER."""
