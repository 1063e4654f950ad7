"""`urbanpipe demo`."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    out: Annotated[Path, typer.Option("--out", help="Folder for videos, runs and tables; run again, it goes on.")] = (
        Path("demo-output")
    ),
    videos: Annotated[int, typer.Option(min=20, help="Simulated videos to learn from.")] = 240,
    unseen: Annotated[int, typer.Option(min=5, help="Simulated videos to predict.")] = 60,
    folds: Annotated[int, typer.Option(min=2, help="Folds of the cross-validation.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the videos.")] = 0,
    override: Annotated[list[str] | None, typer.Option("--set", help="section.key=value, for both recipes.")] = None,
) -> None:
    """The whole chain on simulated videos, in under ten minutes on two CPU cores.

    Simulate, scan, audit, folds, cross-validated training of two small networks from random weights, ensemble, tables,
    and prediction of videos that no network has seen.
    """
    from urbanpipe.demo import RECIPES, demo

    done = demo(out, videos, unseen, folds, seed, override or [])
    experiment = done.experiment
    assert experiment.ensemble is not None
    print(f"\n{done.summary.read_text(encoding='utf-8')}")
    print(f"mAP over the defects on unseen videos: {done.learned:.3f}; chance is {done.chance:.3f}")
    print("The videos are simulated: these figures say nothing of real pipes.\n")
    print(f"this table       {done.summary}")
    print(f"unseen videos    {out / 'predictions.csv'}")
    print(f"the ensemble     {experiment.ensemble} (table3.md: single networks beside it; table6.md: fold by fold)")
    print(f"each network     {', '.join(str(out / name) for name in RECIPES)} (metrics.csv and TensorBoard a fold)")
    print(f"the videos       {out / 'data'}, {out / 'unseen'}")
    print(f"results: {out}")
