"""`urbanpipe demo`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.output import show, show_text
from urbanpipe.cli.verb import Result


def command(
    out: Annotated[Path, typer.Option("--out", help="Output folder for videos, runs and tables; rerun to resume.")] = (
        Path("demo-output")
    ),
    videos: Annotated[int, typer.Option(min=20, help="Number of simulated videos to train on.")] = 240,
    unseen: Annotated[int, typer.Option(min=5, help="Number of simulated videos to predict.")] = 60,
    folds: Annotated[int, typer.Option(min=2, help="Number of cross-validation folds.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated videos.")] = 0,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting of both recipes: section.key=value; repeatable."),
    ] = None,
) -> Result:
    """Run the whole pipeline on simulated videos, in about eleven minutes on two CPU cores.

    The steps are simulate, scan, audit, folds, cross-validated training of two small models from random weights,
    ensemble, tables, prediction of unseen videos, and inspection of some of them.
    """
    from urbanpipe.demo import RECIPES, demo

    done = demo(out, videos=videos, unseen=unseen, folds=folds, seed=seed, overrides=override or [])
    experiment = done.experiment
    assert experiment.ensemble is not None
    show_text(f"\n{done.summary.read_text(encoding='utf-8')}")
    show(f"mAP over the defects on unseen videos: {100 * done.learned:.1f}; chance is {100 * done.chance:.1f}")
    show_text("The videos are simulated: these figures say nothing about real pipes.\n")
    show(f"this table       {done.summary}")
    show(f"unseen videos    {out / 'predictions.csv'}")
    show(f"the ensemble     {experiment.ensemble} (table3.md: compared with single models; table6.md: per fold)")
    show(f"each network     {', '.join(str(out / name) for name in RECIPES)} (metrics.csv and TensorBoard per fold)")
    show(f"the videos       {out / 'data'}, {out / 'unseen'}")
    show(f"decide on defects: urbanpipe review {shlex.quote(str(done.inspected))} --open")
    show(f"results: {out}")
    return Result(
        {
            "results": out,
            "map_defects": done.learned,
            "chance": done.chance,
            "summary": done.summary,
            "ensemble": experiment.ensemble,
            "inspected": done.inspected,
        }
    )
