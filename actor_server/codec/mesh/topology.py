"""Landmark indices of the 478-point face landmarker, named by what they mark.

"Right" is the subject's own right, on the left of the picture. Eyelid rows run from the outer
corner to the inner one; lip rows run from the subject's right corner to the left one. Upper and
lower rows of the same feature have equal length and share their two corner points.

Source: MediaPipe Face Mesh canonical topology (Google, Apache-2.0).
"""

from typing import Final

LANDMARKS: Final = 478
MESH_LANDMARKS: Final = 468  # without the ten iris points

# fmt: off
FACE_OVAL: Final[tuple[int, ...]] = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)
FOREHEAD: Final = 10
CHIN: Final = 152
EARS: Final[tuple[int, int]] = (234, 454)

LIP_INNER_UPPER: Final[tuple[int, ...]] = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIP_INNER_LOWER: Final[tuple[int, ...]] = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LIP_OUTER_UPPER: Final[tuple[int, ...]] = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIP_OUTER_LOWER: Final[tuple[int, ...]] = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS: Final[tuple[int, ...]] = tuple(
    sorted({*LIP_INNER_UPPER, *LIP_INNER_LOWER, *LIP_OUTER_UPPER, *LIP_OUTER_LOWER})
)
INNER_LIP_TOP: Final = 13
INNER_LIP_BOTTOM: Final = 14
OUTER_LIP_TOP: Final = 0
OUTER_LIP_BOTTOM: Final = 17
INNER_CORNERS: Final[tuple[int, int]] = (78, 308)
OUTER_CORNERS: Final[tuple[int, int]] = (61, 291)

RIGHT_LID_UPPER: Final[tuple[int, ...]] = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_LID_LOWER: Final[tuple[int, ...]] = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_LID_UPPER: Final[tuple[int, ...]] = (263, 466, 388, 387, 386, 385, 384, 398, 362)
LEFT_LID_LOWER: Final[tuple[int, ...]] = (263, 249, 390, 373, 374, 380, 381, 382, 362)
# The row of skin points above the upper lid (the crease) and below the lower lid.
RIGHT_CREASE: Final[tuple[int, ...]] = (247, 30, 29, 27, 28, 56, 190)
LEFT_CREASE: Final[tuple[int, ...]] = (467, 260, 259, 257, 258, 286, 414)
RIGHT_UNDER_LID: Final[tuple[int, ...]] = (25, 110, 24, 23, 22, 26, 112)
LEFT_UNDER_LID: Final[tuple[int, ...]] = (255, 339, 254, 253, 252, 256, 341)
RIGHT_IRIS: Final[tuple[int, ...]] = (468, 469, 470, 471, 472)
LEFT_IRIS: Final[tuple[int, ...]] = (473, 474, 475, 476, 477)

RIGHT_BROW: Final[tuple[int, ...]] = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55)
LEFT_BROW: Final[tuple[int, ...]] = (300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
INNER_BROWS: Final[tuple[int, int]] = (55, 285)
NOSE_TIP: Final = 1
NOSE_BASE: Final = 2

# Points that hardly move when a face talks, blinks or frowns: head pose is measured on these.
RIGID: Final[tuple[int, ...]] = (
    10, 338, 297, 332, 284, 251, 389, 109, 67, 103, 54, 21, 162, 151, 108, 337, 168, 6, 197, 195,
    5, 4, 1, 133, 362, 33, 263, 127, 356, 234, 454, 93, 323, 98, 327, 116, 345, 143, 372, 122, 351,
    188, 412, 193, 417,
)
# fmt: on
