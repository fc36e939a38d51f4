"""Overlay text by EasyOCR (Apache-2.0), which a user installs."""

from pathlib import Path

from actor_server.training.curation.media import Picture


class EasyOcr:
    """A TextFinder. `models`: folder with craft_mlt_25k.pth and zh_sim_g2.pth of EasyOCR's hub.

    least_share: of the picture's height; smaller writing belongs to the scene. sure: 0 to 1.
    """

    def __init__(
        self, models: str, least_share: float = 0.02, sure: float = 0.4, gpu: bool = False
    ) -> None:
        if not Path(models).is_dir():
            raise FileNotFoundError(f"models = {models!r} is no folder with EasyOCR's files")
        try:
            import easyocr
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "EasyOCR is not installed: `uv pip install --no-deps easyocr==1.7.2` and "
                "`uv pip install scikit-image python-bidi shapely pyclipper ninja torchvision` "
                "(without --no-deps it replaces OpenCV)"
            ) from error
        self._reader = easyocr.Reader(
            ["ch_sim", "en"], gpu=gpu, model_storage_directory=models, download_enabled=False
        )
        self._least_share, self._sure = least_share, sure

    def pieces(self, picture: Picture) -> int:
        """Readable pieces that are high enough."""
        found = self._reader.readtext(picture)
        least = self._least_share * len(picture)
        return sum(
            max(y for _, y in box) - min(y for _, y in box) >= least and sure >= self._sure
            for box, _, sure in found
        )
