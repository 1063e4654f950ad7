"""Where and how strong something is drawn, and by which rules its place is chosen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from urbanpipe.simulate.pipe import Pipe
from urbanpipe.simulate.scene import Look


@dataclass
class Spot:
    """One thing to be drawn.

    Attributes:
        pipe: drawn on.
        look: of the site.
        rng: this thing's own random numbers.
        s: where along the pipe, radii.
        clock: where around, 0 at the crown, clockwise, radians.
        severity: 0 (weakest) to 1.
        owner: number of the defect, claimed where it is to be seen; 0 for innocent things, which claim nothing.
    """

    pipe: Pipe
    look: Look
    rng: np.random.Generator
    s: float
    clock: float
    severity: float
    owner: int

    def between(self, weakest: float, strongest: float) -> float:
        """A measure that goes with the severity, varied by a tenth either way."""
        return (weakest + (strongest - weakest) * self.severity) * float(self.rng.uniform(0.9, 1.1))


Draw = Callable[[Spot], None]


@dataclass(frozen=True)
class Rule:
    """How something is drawn and where it may be.

    Attributes:
        draw: draws it.
        clock: where around: anywhere, on the upper half, at the sides, at the crown, or on the invert.
        at_joint: only where two pipes meet.
        extent: half its length along the pipe, radii: how much room it needs.
    """

    draw: Draw
    clock: Literal["any", "upper", "sides", "crown", "invert"] = "any"
    at_joint: bool = False
    extent: float = 0.6
