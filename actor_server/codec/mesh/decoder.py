"""Draw frames: a portrait and a latent in, 256x256 I420 out.

Shapes: `I420_SHAPE` (384, 256): 256 rows of luma, then 64 rows each of the two chroma planes.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.expression import EYES
from actor_server.codec.mesh.eye_painter import paint_eyeball, paint_lid, patch_map
from actor_server.codec.mesh.eye_textures import EyeTextures
from actor_server.codec.mesh.latent import (
    BREATH,
    LATENT_DIM,
    LID_RANGE,
    LIDS,
    YAW,
    Latent,
    portrait_latent,
)
from actor_server.codec.mesh.mouth_painter import Anchors, paint_mouth
from actor_server.codec.mesh.person_texture import texture_places
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.codec.mesh.pose import Points, euler_angles
from actor_server.codec.mesh.prepared import CROP_SIZE, FRAME_SIZE
from actor_server.codec.mesh.raster import composite, draw_triangles
from actor_server.codec.mesh.shaping import index
from actor_server.codec.mesh.wrinkles import Creaser

I420_SHAPE: Final = (FRAME_SIZE * 3 // 2, FRAME_SIZE)
# Restores the sharpness that sampling twice takes (CPBD .49 -> .53, the portrait's own level).
SHARPEN: Final = 0.35
SHARPEN_SIGMA: Final = 0.8
SHARPEN_KERNEL: Final = (3, 3)
_UNCOVERED: Final = -1e4  # left of the texture
LEAST_OPENING_PX: Final = 3  # of lips; less is closed
TURNED_RAD: Final = 0.3  # yaw of a portrait from which its far cheek can pass behind the mouth
_LIPS: Final = index(topology.LIP_INNER_UPPER + topology.LIP_INNER_LOWER[-2:0:-1])


class MeshDecoder:
    """Renders one portrait. Owns its scratch memory: one decoder per call, not thread-safe."""

    def __init__(self, portrait: MeshPortrait) -> None:
        self.portrait = portrait
        self._anchors = Anchors.of(portrait.geometry)
        yaw = euler_angles(portrait.geometry.alignment.rotation)[0]
        self._turned = bool(abs(yaw) > TURNED_RAD)
        self._at_lips = np.isin(portrait.geometry.face_triangles, _LIPS).any(1)
        self._creaser = Creaser(portrait.wrinkles, portrait.texture)
        self._map_x = np.empty((CROP_SIZE, CROP_SIZE), np.float32)
        self._map_y = np.zeros((CROP_SIZE, CROP_SIZE), np.float32)
        self._large = np.empty((CROP_SIZE, CROP_SIZE, 4), np.uint8)
        self._small = np.empty((FRAME_SIZE, FRAME_SIZE, 4), np.uint8)
        self._rgb = np.empty((FRAME_SIZE, FRAME_SIZE, 3), np.uint8)

    def render(self, latent: Latent, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Draw one latent (31,) into `out` (384, 256), or into a new array, as I420 (BT.601)."""
        if out is None:
            out = np.empty(I420_SHAPE, np.uint8)
        elif out.shape != I420_SHAPE or out.dtype != np.uint8:
            raise ValueError(f"out is {out.dtype} {out.shape}, a frame needs uint8 {I420_SHAPE}")
        cv2.cvtColor(self.render_rgb(latent), cv2.COLOR_RGB2YUV_I420, dst=out)
        return out

    def render_rgb(self, latent: Latent) -> NDArray[np.uint8]:
        """Draw one latent (31,) as a new (256, 256, 3) RGB array."""
        if latent.shape != (LATENT_DIM,):
            raise ValueError(f"latent has shape {latent.shape}, the decoder needs ({LATENT_DIM},)")
        self._draw_large(latent * self.portrait.shown)
        small = cv2.resize(
            self._large, (FRAME_SIZE, FRAME_SIZE), dst=self._small, interpolation=cv2.INTER_AREA
        )
        composite(np.asarray(small, np.uint8), self.portrait.background, self._rgb)
        soft = cv2.GaussianBlur(self._rgb, SHARPEN_KERNEL, SHARPEN_SIGMA)
        return np.asarray(cv2.addWeighted(self._rgb, 1 + SHARPEN, soft, -SHARPEN, 0), np.uint8)

    def _draw_large(self, latent: Latent) -> None:
        """Draw the person at twice the frame's size, transparent elsewhere."""
        portrait = self.portrait
        geometry = portrait.geometry
        shaped = portrait.expression.apply(geometry.vertices, latent)
        placed = geometry.place(shaped, latent, float(latent[BREATH]))
        sources = geometry.vertices[:, :2].astype(np.float32)
        self._slide_lid_skin(sources, latent)
        # Turning to the left brings the right of the picture into sight, and the other way round.
        yaw = float(latent[YAW])
        for side, turn in zip(portrait.sides, (-min(yaw, 0), max(yaw, 0)), strict=True):
            side.apply(sources, turn)
        self._map_x.fill(_UNCOVERED)
        self._map_triangles(placed, texture_places(sources))
        cv2.remap(
            self._creaser.crease(latent),
            self._map_x,
            self._map_y,
            cv2.INTER_LINEAR,
            dst=self._large,
            borderMode=cv2.BORDER_CONSTANT,  # transparent; others take twice as long
        )
        paint_mouth(
            self._large, self._map_x, placed, geometry, self._anchors, portrait.mouth, latent
        )
        self._draw_eyes(placed, latent)

    def _map_triangles(self, placed: Points, sources: NDArray[np.float32]) -> None:
        """Write where each pixel comes from, the nearest of the face last."""
        geometry = self.portrait.geometry
        vertices, maps = placed.astype(np.float32), (self._map_x, self._map_y)
        depth = placed[geometry.face_triangles, 2].mean(1)
        order = np.argsort(-depth)
        triangles = np.concatenate([geometry.outer_triangles, geometry.face_triangles[order]])
        if self._turned:
            # The far cheek passes behind the mouth and must not be seen between the lips.
            behind = (depth > placed[_LIPS, 2].mean()) & ~self._at_lips
            far = np.concatenate([np.ones(len(geometry.outer_triangles), bool), behind[order]])
            draw_triangles(vertices, sources, triangles[far], *maps)
            _clear_inside(self._map_x, np.round(placed[_LIPS, :2]).astype(np.int32))
            triangles = triangles[~far]
        draw_triangles(vertices, sources, triangles, *maps)

    def _draw_eyes(self, placed: Points, latent: Latent) -> None:
        closures = np.clip(latent[LIDS], *LID_RANGE)
        textures: EyeTextures
        for eye, textures, closure in zip(EYES, self.portrait.eyes, closures, strict=True):
            socket = patch_map(self.portrait.geometry, eye, latent)
            paint_eyeball(
                self._large, self._map_x, placed, eye, textures, socket, latent, float(closure)
            )
            paint_lid(self._large, placed, eye, textures, socket, float(closure))

    def _slide_lid_skin(self, sources: NDArray[np.float32], latent: Latent) -> None:
        """Take the skin of a closing lid from further up, else lashes smear over the eye."""
        for eye, closure in zip(EYES, np.clip(latent[LIDS], 0, 1), strict=True):
            if closure > 0:
                up = sources[eye.crease] - sources[eye.upper[1:-1]]
                down = sources[eye.under] - sources[eye.lower[1:-1]]
                sources[eye.upper[1:-1]] += up * np.float32(min(1.0, closure * 1.5) * 0.22)
                sources[eye.lower[1:-1]] += down * np.float32(closure * 0.15)


def _clear_inside(map_x: NDArray[np.float32], outline: NDArray[np.int32]) -> None:
    """Uncover the inside of an outline (N, 2) where it is wide: lips that meet stay as they are."""
    low = np.clip(outline.min(0), 0, CROP_SIZE)
    high = np.clip(outline.max(0) + 1, low, CROP_SIZE)
    if (high - low).min() < LEAST_OPENING_PX:
        return
    inside = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    cv2.fillPoly(inside, [outline - low], color=1)
    inside = cv2.morphologyEx(inside, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    map_x[low[1] : high[1], low[0] : high[0]][inside > 0] = _UNCOVERED


def warm_up(portrait: MeshPortrait) -> None:
    """Compile (or load from numba's cache) all inner loops, so that no call waits for them."""
    latent = portrait_latent()
    latent[LIDS] = 0.5
    latent[6] = 2.0
    decoder = MeshDecoder(portrait)
    decoder.render(latent)
    latent[6] = -2.0
    decoder.render(latent)
