"""Compiled inner loops: the triangle raster and the final composite.

Compiled code is cached on disk next to the package (or in NUMBA_CACHE_DIR); `decoder.warm_up`
compiles everything before the first call.
"""

from math import ceil, floor

import numpy as np
from numba import njit
from numpy.typing import NDArray

_EDGE = 1e-4  # barycentric slack, so that neighbours leave no crack between them


@njit(cache=True, nogil=True, fastmath=True)
def draw_triangles(
    vertices: NDArray[np.float32],
    sources: NDArray[np.float32],
    triangles: NDArray[np.int32],
    map_x: NDArray[np.float32],
    map_y: NDArray[np.float32],
) -> None:
    """Write where every pixel comes from, later triangles over earlier ones.

    Shapes: vertices (V, 2) in target pixels, sources (V, 2) in texture pixels, triangles (T, 3),
    maps (height, width); pixels that no triangle covers keep what they held.
    """
    height, width = map_x.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0 = vertices[a, 0], vertices[a, 1]
        x1, y1 = vertices[b, 0], vertices[b, 1]
        x2, y2 = vertices[c, 0], vertices[c, 1]
        area = (y1 - y2) * (x0 - x2) + (x2 - x1) * (y0 - y2)
        if abs(area) < 1e-6:
            continue
        top = max(0, ceil(min(y0, y1, y2) - 0.01))
        bottom = min(height - 1, floor(max(y0, y1, y2) + 0.01))
        inverse = np.float32(1.0 / area)
        # Barycentric weight of a vertex = slope_y * (y - y2) + slope_x * (x - x2).
        ax, ay = (y1 - y2) * inverse, (x2 - x1) * inverse
        bx, by = (y2 - y0) * inverse, (x0 - x2) * inverse
        cx = -(ax + bx)
        u2, v2 = sources[c, 0], sources[c, 1]
        ua, ub = sources[a, 0] - u2, sources[b, 0] - u2
        va, vb = sources[a, 1] - v2, sources[b, 1] - v2
        ux, uy = ax * ua + bx * ub, ay * ua + by * ub
        vx, vy = ax * va + bx * vb, ay * va + by * vb
        for y in range(top, bottom + 1):
            dy = y - y2
            low, high = np.float32(-1e9), np.float32(1e9)
            inside = True
            for edge in range(3):
                if edge == 0:
                    weight, slope = ay * dy, ax
                elif edge == 1:
                    weight, slope = by * dy, bx
                else:
                    weight, slope = 1 - (ay + by) * dy, cx
                if abs(slope) < 1e-9:
                    inside = inside and weight >= -_EDGE
                elif slope > 0:
                    low = max(low, (-_EDGE - weight) / slope)
                else:
                    high = min(high, (-_EDGE - weight) / slope)
            if not inside or low > high:
                continue
            left = max(0, ceil(low + x2))
            right = min(width - 1, floor(high + x2))
            u = u2 + ux * (left - x2) + uy * dy
            v = v2 + vx * (left - x2) + vy * dy
            for x in range(left, right + 1):
                map_x[y, x] = u
                map_y[y, x] = v
                u += ux
                v += vx


@njit(cache=True, nogil=True, fastmath=True)
def composite(
    foreground: NDArray[np.uint8], background: NDArray[np.uint8], out: NDArray[np.uint8]
) -> None:
    """Lay (H, W, 4) premultiplied RGBA over (H, W, 3) RGB into (H, W, 3)."""
    for y in range(background.shape[0]):
        for x in range(background.shape[1]):
            behind = 255 - np.int32(foreground[y, x, 3])
            for c in range(3):
                mixed = foreground[y, x, c] + (background[y, x, c] * behind + 127) // 255
                out[y, x, c] = min(mixed, np.int32(255))


@njit(cache=True, nogil=True, fastmath=True)
def sample(texture: NDArray[np.uint8], u: float, v: float, out: NDArray[np.float32]) -> None:
    """Read an (H, W, 4) texture bilinearly into out (4,); outside is transparent."""
    height, width = texture.shape[0], texture.shape[1]
    x0, y0 = floor(u), floor(v)
    fx, fy = np.float32(u - x0), np.float32(v - y0)
    for c in range(4):
        out[c] = 0.0
    for dy in range(2):
        y = y0 + dy
        if y < 0 or y >= height:
            continue
        wy = fy if dy == 1 else 1 - fy
        for dx in range(2):
            x = x0 + dx
            if x < 0 or x >= width:
                continue
            weight = wy * (fx if dx == 1 else 1 - fx)
            for c in range(4):
                out[c] += weight * texture[y, x, c]
