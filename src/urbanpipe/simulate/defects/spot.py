"""Place and severity of drawn objects, and the rules for choosing their places."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from urbanpipe.simulate.pipe import Pipe
from urbanpipe.simulate.scene import Look


@dataclass
class Spot:
    """One object to draw.

    Attributes:
        pipe: pipe to draw on.
        look: look of the site.
        rng: random numbers of this object.
        s: position along the pipe, radii.
        clock: clock angle, 0 at the crown, clockwise, radians.
        severity: 0 (weakest) to 1.
        owner: number of the defect, claimed where it is visible; 0 for harmless objects, which claim nothing.
    """

    pipe: Pipe
    look: Look
    rng: np.random.Generator
    s: float
    clock: float
    severity: float
    owner: int

    def between(self, weakest: float, strongest: float) -> float:
        """Return a value between the two that grows with the severity, varied by up to 10 % either way."""
        return (weakest + (strongest - weakest) * self.severity) * float(self.rng.uniform(0.9, 1.1))


Draw = Callable[[Spot], None]


@dataclass(frozen=True)
class Rule:
    """How an object is drawn and where it may be placed.

    Attributes:
        draw: function that draws it.
        clock: allowed clock angles: anywhere, on the upper half, at the sides, at the crown, or on the invert.
        at_joint: whether it must be at a joint.
        extent: half its length along the pipe, radii: the room that it needs.
    """

    draw: Draw
    clock: Literal["any", "upper", "sides", "crown", "invert"] = "any"
    at_joint: bool = False
    extent: float = 0.6
