"""Everything the decoder needs of one portrait; shared by its calls, never written to."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import background
from actor_server.codec.mesh.canonical import canonical_face
from actor_server.codec.mesh.expression import EYES, Expression
from actor_server.codec.mesh.eye_textures import EyeTextures
from actor_server.codec.mesh.eyewear import shown_share
from actor_server.codec.mesh.geometry import FaceGeometry
from actor_server.codec.mesh.latent import Latent
from actor_server.codec.mesh.lip_seam import meet_at_seam
from actor_server.codec.mesh.mouth_textures import MouthTextures
from actor_server.codec.mesh.person_texture import person_texture
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.prepared import Image, PreparedPortrait
from actor_server.codec.mesh.revealed_side import RevealedSide, flatten_sides
from actor_server.codec.mesh.wrinkles import Wrinkles


@dataclass(frozen=True)
class MeshPortrait:
    """One portrait as mesh, expressions and layers."""

    geometry: FaceGeometry
    expression: Expression
    sides: tuple[RevealedSide, RevealedSide]  # left and right of the picture
    texture: NDArray[np.uint8]  # (1192, 1192, 4) of the person; see `texture_places`
    wrinkles: Wrinkles
    background: Image  # (256, 256, 3) RGB
    mouth: MouthTextures
    eyes: tuple[EyeTextures, EyeTextures]  # right, left
    shown: Latent  # (31,) how much of each number of the latent can be seen

    @classmethod
    def build(cls, portrait: PreparedPortrait) -> Self:
        """Build the animated portrait; takes a few hundred milliseconds."""
        alpha = background.person_alpha(portrait)
        pose = canonical_face().align(portrait.landmarks)
        landmarks = meet_at_seam(
            portrait.landmarks, portrait.image, pose.rotation[:, 1], pose.scale
        )
        geometry = flatten_sides(FaceGeometry.build(landmarks))
        geometry = replace(
            geometry,
            outer_triangles=background.triangles_in_sight(
                alpha, geometry.vertices, geometry.outer_triangles
            ),
        )
        texture = person_texture(portrait.image, alpha)
        right, left = (EyeTextures.build(portrait.image, portrait.landmarks, eye) for eye in EYES)
        return cls(
            geometry=geometry,
            expression=Expression.build(geometry),
            sides=(RevealedSide.build(geometry, -1), RevealedSide.build(geometry, 1)),
            texture=texture,
            wrinkles=Wrinkles.build(portrait, texture),
            background=background.empty_background(portrait.image, alpha),
            mouth=MouthTextures.build(portrait, geometry),
            eyes=(right, left),
            shown=shown_share(portrait.image, portrait.landmarks),
        )

    def vertices(self, latent: Latent) -> Points:
        """Return the (V, 3) vertices in the crop's pixels under a latent; the first 478 are the
        landmarks that a tracker should find in the decoded frame (at twice its size)."""
        latent = latent * self.shown
        shaped = self.expression.apply(self.geometry.vertices, latent)
        return self.geometry.turn_head(shaped, latent)
