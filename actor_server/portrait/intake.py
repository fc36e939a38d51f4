"""Portrait intake: file bytes in, a prepared portrait or a helpful refusal out."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from actor_server.codec.mesh.canonical import canonical_face
from actor_server.codec.mesh.pose import Points, euler_angles
from actor_server.codec.mesh.prepared import CROP_SIZE, Image, PreparedPortrait
from actor_server.portrait.cropping import crop_window, cut, face_height, is_crop_already
from actor_server.portrait.decoding_process import PictureDecoder
from actor_server.portrait.landmarker import FaceLandmarker, face_size
from actor_server.portrait.mouth_cover import COVERED, covered_share
from actor_server.portrait.person_check import MODEL_FILE, PersonCheck
from actor_server.portrait.refusal import PortraitRefused
from actor_server.portrait.segmentation import PersonSegmenter
from actor_server.portrait.sharpness import blur
from actor_server.portrait.verdict import PortraitVerdict

LANDMARKER_FILE: Final = "face_landmarker.task"
SEGMENTER_FILE: Final = "selfie_segmentation.tflite"

SMALLEST_FACE_PX: Final = 40.0
SMALLEST_SIDE_PX: Final = 64
YAW_LIMIT_DEG: Final = 50.0
ROLL_LIMIT_DEG: Final = 45.0
BLUR_LIMIT: Final = 0.62
# A second face this large against the first makes it a picture of two people.
RIVAL_SHARE: Final = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Found:
    """One face in the decoded picture."""

    image: Image
    landmarks: Points
    checks: dict[str, float]


class PortraitIntake:
    """Judges pictures and prepares those it accepts. Not thread-safe.

    `landmarker_path` names `face_landmarker.task`; the second face detector and the segmentation
    model are looked for next to it. Without the latter the background moves with the person.
    """

    def __init__(
        self,
        landmarker_path: Path,
        person_model_path: Path | None = None,
        segmenter_path: Path | None = None,
    ) -> None:
        assets = landmarker_path.parent
        segmenter_path = segmenter_path or assets / SEGMENTER_FILE
        self._landmarker = FaceLandmarker(landmarker_path)
        self._person = PersonCheck(person_model_path or assets / MODEL_FILE)
        self._segmenter: PersonSegmenter | None = None
        self._decoder = PictureDecoder()
        if segmenter_path.is_file():
            self._segmenter = PersonSegmenter(segmenter_path)
        else:
            _log.warning("no person segmentation model", extra={"path": str(segmenter_path)})

    @classmethod
    def from_assets(cls, assets: Path) -> "PortraitIntake":
        """Use the models of an assets directory under their manifest names."""
        return cls(assets / LANDMARKER_FILE)

    def close(self) -> None:
        self._decoder.close()
        self._landmarker.close()
        if self._segmenter:
            self._segmenter.close()

    def check(self, image_bytes: bytes) -> PortraitVerdict:
        """Judge a picture file; never raises for what is in it."""
        try:
            portrait, checks = self._prepare(image_bytes)
        except PortraitRefused as refused:
            return PortraitVerdict(False, refused.code, refused.hint, refused.checks)
        return PortraitVerdict(True, "ok", "", checks, portrait)

    def prepare(self, image_bytes: bytes) -> PreparedPortrait:
        """Return the prepared portrait. Raises PortraitRefused."""
        return self._prepare(image_bytes)[0]

    def landmarks(self, image: Image) -> Points:
        """Return the (478, 3) landmarks of the largest face in (H, W, 3) RGB.

        Raises: PortraitRefused `no_face`.
        """
        faces = self._landmarker.find(image)
        if not faces:
            raise PortraitRefused("no_face", "No face was found in this picture.")
        return faces[0]

    def _prepare(self, image_bytes: bytes) -> tuple[PreparedPortrait, dict[str, float]]:
        image = self._decoder.decode(image_bytes)
        found = self._only_face(image)
        self._check_quality(found)
        height, width = image.shape[:2]
        window = crop_window(found.landmarks, width, height)
        if is_crop_already(window, width, height):
            crop, landmarks = image, found.landmarks
        else:
            crop = cut(image, window)
            again = self._landmarker.find(crop)
            landmarks = again[0] if again else window.carry(found.landmarks)
        self._check_person(crop, landmarks, found.checks)
        _check_pose(landmarks, found.checks)
        _check_mouth(crop, landmarks, found.checks)
        person = (
            self._segmenter.segment(crop)
            if self._segmenter
            else np.ones((CROP_SIZE, CROP_SIZE), np.float32)
        )
        return PreparedPortrait(crop, landmarks.astype(np.float64), person), found.checks

    def _only_face(self, image: Image) -> _Found:
        height, width = image.shape[:2]
        checks = {"width_px": float(width), "height_px": float(height)}
        if min(width, height) < SMALLEST_SIDE_PX:
            raise PortraitRefused(
                "too_small",
                f"The picture has only {width} x {height} pixels. Use one of at least 256 x 256.",
                checks,
            )
        faces = self._landmarker.find(image) or self._look_closer(image, checks)
        checks["faces"] = float(len(faces))
        if not faces:
            raise PortraitRefused(
                "no_face",
                "No face was found. Use a picture of one person who looks at the camera, with the "
                "whole face in the picture and in good light.",
                checks,
            )
        rivals = sum(face_size(face) > RIVAL_SHARE * face_size(faces[0]) for face in faces[1:])
        if rivals:
            raise PortraitRefused(
                "many_faces",
                f"There are {rivals + 1} large faces in the picture. Cut out the one you want.",
                checks,
            )
        return _Found(image, faces[0], checks)

    def _look_closer(self, image: Image, checks: dict[str, float]) -> list[Points]:
        """Look round the faces that only the second detector sees, as in a full-length picture."""
        boxes = self._person.find_faces(image)
        found: list[Points] = []
        for x, y, width, height in boxes[:2]:
            if max(width, height) < SMALLEST_FACE_PX:
                continue
            left, top = max(0, int(x - width)), max(0, int(y - height))
            part = image[top : int(y + 2 * height), left : int(x + 2 * width)]
            corner = np.array([left, top, 0])
            found += [face + corner for face in self._landmarker.find(part)[:1]]
        if boxes and not found:
            checks["face_px"] = float(boxes[0][3])
            raise _face_too_small(checks)
        return found

    def _check_quality(self, found: _Found) -> None:
        checks, landmarks = found.checks, found.landmarks
        checks["face_px"] = face_height(landmarks)
        if face_size(landmarks) < SMALLEST_FACE_PX:
            raise _face_too_small(checks)
        checks["blur"] = blur(found.image, landmarks)
        if checks["blur"] > BLUR_LIMIT:
            raise PortraitRefused(
                "blurred",
                "The face is blurred. Use a sharp picture, taken in good light and held still.",
                checks,
            )

    def _check_person(self, crop: Image, landmarks: Points, checks: dict[str, float]) -> None:
        likeness = self._person.measure(crop, landmarks)
        checks |= {"person_score": likeness.score, "shape_error": likeness.shape_error}
        if not likeness.is_person:
            raise PortraitRefused(
                "not_a_person",
                "This does not look like a person's face. Photos, paintings and drawings of people "
                "work; animals and objects do not.",
                checks,
            )


def _face_too_small(checks: dict[str, float]) -> PortraitRefused:
    return PortraitRefused(
        "too_small",
        f"The face is only {checks['face_px']:.0f} pixels high. Use a closer picture: 200 pixels "
        "or more look good.",
        checks,
    )


def _check_mouth(crop: Image, landmarks: Points, checks: dict[str, float]) -> None:
    checks["mouth_covered"] = covered_share(crop, landmarks)
    if checks["mouth_covered"] >= COVERED:
        raise PortraitRefused(
            "mouth_hidden",
            "Something covers the mouth, which has to speak. Use a picture without a microphone, "
            "mask or cup in front of it.",
            checks,
        )


def _check_pose(landmarks: Points, checks: dict[str, float]) -> None:
    yaw, pitch, roll = np.degrees(euler_angles(canonical_face().align(landmarks).rotation))
    checks |= {"yaw_deg": float(yaw), "pitch_deg": float(pitch), "roll_deg": float(roll)}
    if abs(yaw) > YAW_LIMIT_DEG:
        raise PortraitRefused(
            "too_turned",
            f"The head is turned {abs(yaw):.0f} degrees to the side. Use a picture from the front.",
            checks,
        )
    if abs(roll) > ROLL_LIMIT_DEG:
        raise PortraitRefused(
            "too_turned",
            f"The face lies on its side ({abs(roll):.0f} degrees). Rotate the picture upright.",
            checks,
        )
