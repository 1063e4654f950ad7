"""Contact sheets: what each class looks like."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.outputs import whole_path
from urbanpipe.simulate.plan import VideoPlan
from urbanpipe.simulate.render import Renderer
from urbanpipe.simulate.truth import build_scene

ROWS, COLUMNS = 3, 4


def write_contact_sheets(
    folder: Path, plans: Sequence[VideoPlan], seed: int, codes: Sequence[str], size: tuple[int, int]
) -> None:
    """Write `<code>.png` for each class: up to twelve videos at the moment that shows it best."""
    from matplotlib.image import imsave

    for code in codes:
        shown = [plan for plan in plans if code in (plan.labels or ("ZC",))][: ROWS * COLUMNS]
        sheet = np.zeros((ROWS * size[1], COLUMNS * size[0], 3), np.uint8)
        for index, plan in enumerate(shown):
            row, column = divmod(index, COLUMNS)
            tile = sheet[row * size[1] : (row + 1) * size[1], column * size[0] : (column + 1) * size[0]]
            tile[:] = _best_frame(plan, seed, code, size)
        with whole_path(folder / f"{code}.png") as path:
            imsave(path, sheet)


def _best_frame(plan: VideoPlan, seed: int, code: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    scene, placed = build_scene(plan, seed)
    moments = [item.moment for item in placed if item.code == code]
    return Renderer(scene, size).frame(moments[0] if moments else plan.duration_seconds / 2)
