"""Scene cuts by PySceneDetect (BSD-3-Clause)."""

from pathlib import Path
from typing import Final

from scenedetect import AdaptiveDetector, SceneManager, VideoOpenFailure, VideoStreamAv

from actor_server.training.curation.media import ClipUnusable

SHORTEST_S: Final = 0.6
"""Cuts that follow each other faster are one."""


class PySceneDetect:
    """A SceneCutter. `threshold`: AdaptiveDetector's, which forgives fast camera motion."""

    def __init__(self, threshold: float = 3.0) -> None:
        self._threshold = threshold

    def scenes(self, video: Path) -> list[tuple[float, float]]:
        """The whole video is one scene if it has no cut."""
        try:
            stream = VideoStreamAv(str(video))
        except (VideoOpenFailure, OSError) as error:
            raise ClipUnusable(f"{video} cannot be read ({error})") from error
        manager = SceneManager()
        manager.add_detector(
            AdaptiveDetector(adaptive_threshold=self._threshold, min_scene_len=SHORTEST_S)
        )
        manager.detect_scenes(stream)
        found = manager.get_scene_list(start_in_scene=True)
        return [(begin.seconds, end.seconds) for begin, end in found]
