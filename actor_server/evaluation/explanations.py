"""What each figure of the report means, for somebody who sees it for the first time."""

from typing import Final

LEAD: Final = """
A voice drives a face. This page says whether the lips follow that voice, whether the rest of the
face moves as if it were alive, and whether that lasts. Several systems perform the same held-out
takes; only the voice, its phones and its text are known to them.
"""
SYSTEMS: Final = {
    "ground truth": "what the recorded person did: as good as it can get",
    "target (the teacher's)": "where no person was recorded, the procedural teacher's own motion",
    "static face": "a face that never moves: what a measure gives for nothing",
    "procedural teacher": "rules and dice, without learning: what the Actor learned from",
    "Actor": "the trained network that the product runs",
    "mismatched audio": "the same motion under another voice: what a measure gives by chance",
}
TAKES: Final = {
    "grid": "the GRID corpus: short commands of one real person (lips, lids, gaze); "
    "head and brows are synthetic",
    "spoken": "new sentences in synthetic voices; motion by the procedural teacher",
    "mixed": "calls with listening, pauses and interruptions; motion by the procedural teacher",
}
LIPS: Final = """
Lips are either read from the motion itself (latents) or found by a landmarker in frames that were
drawn on a portrait (seen on ...), which is what a viewer sees and adds the landmarker's error.
"""
TABLES: Final = {
    "Goals": "What the Actor is to reach. Not measured: nothing in this run supplies the figure.",
    "Lips and sound": "A judge that was fitted on other recordings compares mouth and voice in "
    "stretches of 2.4 s. Its figures compare systems in this table and nothing else.",
    "Best shift of a stretch, frames": "By how many frames (of 40 ms) the sound of each stretch "
    "has to be taken later to fit its lips best. All should lie at 0; those of the truth show "
    "how sure the judge is.",
    "Inner lip gap in the middle of a phone, eye distances": "Lips must meet in B, P and M, come "
    "close in F and UW, and open in AE, EH and EY. The last row has the means of all of GRID.",
    "Gap of open vowels over the truth's": "1 is as wide open as the truth on the same takes; "
    "0.9 to 1.1 is the goal. Less is mumbling, more is shouting.",
    "Lips by voice": "The same two for each voice by itself. A voice counts for the goal when B P "
    "M shut in 0.95 and open vowels are 0.9 to 1.1 of the truth's.",
    "Head and face": "How lively head, lids and brows are, and how smoothly they move. More is not "
    "better: the truth, the target or public talking heads (SD 3.7, 2.9, 2.8 deg; 15-25 blinks a "
    "minute) are the measure.",
    "Eyes and brows": "Where the eyes look when the part that holds the caller is taken out, and "
    "what the brows do. The target is the measure.",
    "While the caller talks": "Whether the face listens. The target is the measure; by chance is "
    "what the same head does in seconds without a pause.",
    "Drawn frames": "What was looked at after drawing: is it still this person, is it sharp, do "
    "head and upper face move?",
    "Videos as a set (FVD)": "How far the drawn videos are, as a set, from those of the truth.",
    "Between performances with other seeds": "Whether the face moves in another way when it says "
    "the same again. The teacher is the measure.",
    "One unbroken stream": "One stream without a break, measured a minute at a time. Nothing "
    "should change: a slope whose interval holds 0 is none. The same texts come round after round, "
    "which makes the curves a saw; the dashed line, the Actor's, is fitted to what differs between "
    "minutes of the same text.",
}
LIKE_TRUTH: Final = "like the truth"
HIGHER: Final = "higher is better"
LOWER: Final = "lower is better"
NEITHER: Final = "neither is better"
MEASURES: Final = {
    "stretches": (NEITHER, "how many stretches were judged"),
    "C*": (HIGHER, "how far the best shift stands out from the others: lips that fit the voice"),
    "D*": (LOWER, "distance of lips and sound at the best shift; 1.41 is unrelated"),
    "D* as shown": (LOWER, "the same without looking for the best shift"),
    "within 1": (HIGHER, "share of stretches that fit best within one frame"),
    "preferred": (HIGHER, "share of stretches nearer to their own sound than to another's"),
    "by": (HIGHER, "by how much"),
    "+-": (NEITHER, "standard error of that"),
    "gap r": (HIGHER, "correlation of the lips' opening with the truth's"),
    "gap size": (LIKE_TRUTH, "spread of the lips' opening over the truth's: 1 is right"),
    "B P M shut": (HIGHER, "share of B, P and M in which the lips meet (gap of 0.03 or less)"),
    "open vowels": (LIKE_TRUTH, "their gap over the truth's: 1 is right"),
    "median": (LIKE_TRUTH, "half of the stretches fit best at this shift or an earlier one"),
    "mean error": (LOWER, "mean distance of these ten gaps from those of all of GRID"),
    "together": (LIKE_TRUTH, "all open vowels, each as often as it is said: 1 is right"),
    "yaw": (LIKE_TRUTH, "standard deviation of turning left and right, deg"),
    "pitch": (LIKE_TRUTH, "of nodding, deg"),
    "roll SD deg": (LIKE_TRUTH, "of tilting, deg"),
    "deg/s": (LIKE_TRUTH, "mean speed of the head"),
    "blinks/min": (LIKE_TRUTH, "how often the eyes shut"),
    "upper SD": (LIKE_TRUTH, "standard deviation of brows and furrow"),
    "head jerk": (LOWER, "trembling of the head, deg/s^3; the truth or the teacher is the least"),
    "lip jerk": (LIKE_TRUTH, "abruptness of the lips, eye distances/s^3"),
    "head seam": (
        LIKE_TRUTH,
        "change across borders of chunks over that inside: 1 is seamless",
    ),
    "lip seam": (LIKE_TRUTH, "the same of the lips"),
    "gaze SD": (LIKE_TRUTH, "standard deviation of where the eyes look"),
    "away": (LIKE_TRUTH, "share of frames in which the eyes do not look at the caller"),
    "saccades/min": (LIKE_TRUTH, "how often the eyes jump"),
    "brow SD": (LIKE_TRUTH, "standard deviation of the brows"),
    "raises/min": (LIKE_TRUTH, "how often the brows go up"),
    "furrow SD": (LIKE_TRUTH, "standard deviation of the furrow between the brows"),
    "pauses": (NEITHER, "how often the caller paused after a phrase"),
    "nods": (LIKE_TRUTH, "share of these pauses with a nod within a second"),
    "by chance": (NEITHER, "share of other seconds of listening with a nod"),
    "brows follow": (LIKE_TRUTH, "correlation of the brows with the caller's loudness"),
    "and pitch": (LIKE_TRUTH, "the same with the caller's pitch, where loudness is alike"),
    "contact": (LIKE_TRUTH, "share of the listening in which the eyes are on the caller"),
    "listening deg/s": (LIKE_TRUTH, "mean speed of the head while the caller talks"),
    "idle deg/s": (LIKE_TRUTH, "the same while nobody does"),
    "speaking deg/s": (LIKE_TRUTH, "the same while the avatar does"),
    "frames": (NEITHER, "how many frames were drawn"),
    "no face": (LOWER, "frames in which no face was found"),
    "identity": (HIGHER, "likeness with the portrait (SFace cosine)"),
    "other's": (LOWER, "likeness with somebody else's portrait: the negative pair"),
    "CPBD": (HIGHER, "sharpness: share of edges that are not seen as blurred"),
    "to still": (HIGHER, "sharpness over that of the same face unmoved: 1 is as sharp"),
    "to crop": (HIGHER, "sharpness over that of the portrait, as small as a frame"),
    "Glo": (LIKE_TRUTH, "motion of the head in the picture"),
    "Exp": (LIKE_TRUTH, "motion of the upper face"),
    "windows": (NEITHER, "how many pieces of 16 frames were compared"),
    "FVD": (LOWER, "distance of the videos from those of the truth; the truth's own is the least"),
    "seeds": (NEITHER, "how many performances were compared"),
    "minutes": (NEITHER, "how long each of them was"),
    "head deg": (LIKE_TRUTH, "how far the heads of two performances are apart, deg"),
    "brows": (LIKE_TRUTH, "the same of the brows"),
    "gaze": (LIKE_TRUTH, "the same of the eyes"),
    "lip gap": (LOWER, "the same of the lips' opening, which the voice should decide"),
    "landmarks": (LIKE_TRUTH, "the same of all landmarks in the picture, eye distances"),
    "yaw SD": (LIKE_TRUTH, "standard deviation of turning left and right, deg"),
    "pitch SD": (LIKE_TRUTH, "of nodding, deg"),
    "roll SD": (LIKE_TRUTH, "of tilting, deg"),
    "head speed": (LIKE_TRUTH, "mean, deg/s"),
    "blinks a minute": (LIKE_TRUTH, "how often the eyes shut"),
    "repetition": (LOWER, "how alike two stretches of 4 s of the head's motion are: 1 is a loop"),
    "lip opening SD": (LIKE_TRUTH, "standard deviation of the gap between the lips, eye distances"),
    "within 1 frame": (HIGHER, "share of stretches that fit their sound best within one frame"),
    "distance from the portrait": (
        NEITHER,
        "root mean square distance of the motion from the portrait's rest, standard deviations",
    ),
    "distance of the mean": (
        LOWER,
        "how far the minute's mean pose has gone from the portrait, standard deviations",
    ),
}
"""Heading of a column or a curve: which direction is good, and what is measured."""
