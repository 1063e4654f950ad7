"""`urbanpipe bundle`."""

from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.options import Device, GraphRuntime
from urbanpipe.cli.output import show
from urbanpipe.cli.verb import Result


def command(
    model: Annotated[
        Path, typer.Argument(help="Folder of a `crossval` run, an ensemble, or an experiment (its ensemble is used).")
    ],
    out: Annotated[Path, typer.Option("--out", help="Output folder of the bundle.")],
    data: Annotated[
        Path | None, typer.Option(help="Training catalog, to fit the detection of non-pipe videos.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the bundle; default: the name of MODEL's folder.")] = None,
    miss_bound: Annotated[float, typer.Option(help="Maximum share of true classes that triage may reject.")] = 0.05,
    precision: Annotated[float, typer.Option(help="Target precision of the accepted classes.")] = 0.9,
    moments: Annotated[Path | None, typer.Option(help="Settings file written by `urbanpipe moments`.")] = None,
    demonstration: Annotated[
        bool, typer.Option("--demonstration", help="Mark the bundle as a demonstration, not for real use.")
    ] = False,
    half: Annotated[bool, typer.Option("--half", help="Store weights in half precision: half the size.")] = False,
    runtime: Annotated[
        list[GraphRuntime] | None,
        typer.Option(help="Also write graphs that run without torch: onnx or openvino; repeat for both. Needs --data."),
    ] = None,
    device: Device = "auto",
) -> Result:
    """Build the bundle that `inspect` runs: models, calibrated probabilities and triage thresholds per class."""
    from urbanpipe.ensembling.bundle_options import BundleLabel, NetworkStorage, TriageTargets
    from urbanpipe.ensembling.bundling import bundle

    made = bundle(
        model,
        out=out,
        data=data,
        moments=moments,
        storage=NetworkStorage(half=half, runtimes=tuple(one.value for one in runtime or ())),
        device=device,
        label=BundleLabel(name=name, demonstration=demonstration),
        targets=TriageTargets(miss_bound=miss_bound, precision=precision),
    )
    for line in made.lines():
        show(line)
    show(f"bundle: {made.folder}")
    return Result(
        {
            "bundle": made.folder,
            "name": made.manifest.name,
            "demonstration": made.manifest.demonstration,
            "networks": sum(member.networks for member in made.manifest.members),
            "runtimes": made.manifest.runtimes,
            "map_all": made.evaluation.scores.map_all,
            "map_defects": made.evaluation.scores.map_defects,
            "summary": [*made.lines()],
        }
    )
