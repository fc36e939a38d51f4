"""How a face is to look and where its head is to point: a call's own mood, and a clause's."""

from typing import Annotated, Literal

from pydantic import Field

from proto.message import Count, WireModel

Expression = Literal["neutral", "warm", "serious", "surprised"]


class Mood(WireModel):
    """How a face looks and where its head points, besides what it does anyway.

    What is None is as in the mood beneath: what a clause means lies over its call's, that over what
    its words suggest, that over a neutral face that looks ahead. `strength` belongs to the
    expression. Degrees off the head's own motion: positive yaw to the left of the picture, positive
    pitch down; the eyes go with the head.
    """

    expression: Expression | None = None
    strength: Annotated[float, Field(ge=0, le=1)] = 1.0
    yaw_deg: Annotated[float, Field(ge=-10, le=10)] | None = None
    pitch_deg: Annotated[float, Field(ge=-6, le=6)] | None = None

    def over(self, beneath: "Mood") -> "Mood":
        """This mood where it says something, elsewhere the one beneath."""
        felt = self if self.expression is not None else beneath
        return Mood(
            expression=felt.expression,
            strength=felt.strength,
            yaw_deg=beneath.yaw_deg if self.yaw_deg is None else self.yaw_deg,
            pitch_deg=beneath.pitch_deg if self.pitch_deg is None else self.pitch_deg,
        )


class SpokenMood(WireModel):
    """A reply's mood: what its marks say, and what its words suggest."""

    meant: Mood = Mood()
    guess: Mood = Mood()

    def over(self, call: Mood) -> Mood:
        """With the call's own mood between the two: no guess goes before what somebody chose."""
        return self.meant.over(call).over(self.guess)


class MoodChange(WireModel):
    """From this audio token of the turn on the face is in this mood."""

    first_token: Count
    mood: SpokenMood
