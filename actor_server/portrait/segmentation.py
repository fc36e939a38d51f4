"""Outline of the person in the crop, by MediaPipe's selfie segmentation."""

from pathlib import Path

import numpy as np

from actor_server.codec.mesh.prepared import Image, Mask
from actor_server.portrait import mediapipe_tasks


class PersonSegmenter:
    """Tells the person from the background. Not thread-safe."""

    def __init__(self, model: Path) -> None:
        options = mediapipe_tasks.vision.ImageSegmenterOptions(
            base_options=mediapipe_tasks.BaseOptions(model_asset_path=str(model)),
            output_confidence_masks=True,
        )
        self._segmenter = mediapipe_tasks.vision.ImageSegmenter.create_from_options(options)

    def close(self) -> None:
        self._segmenter.close()

    def segment(self, image: Image) -> Mask:
        """Return (H, W) confidence that a pixel belongs to a person."""
        frame = mediapipe_tasks.Image(
            image_format=mediapipe_tasks.ImageFormat.SRGB, data=np.ascontiguousarray(image)
        )
        mask = self._segmenter.segment(frame).confidence_masks[0].numpy_view()
        return np.array(mask, np.float32).reshape(image.shape[:2])
