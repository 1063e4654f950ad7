"""The pictures of the report: network inputs (Figure 2), and heat maps (Figure 3)."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from urbanpipe.catalog.catalog_file import Video
from urbanpipe.contracts.file_names import file_name
from urbanpipe.errors import RunError
from urbanpipe.explain.explain import explain
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inputs.frame_timeline import SampleSeed
from urbanpipe.inputs.reading import CatalogReader
from urbanpipe.methods.recipe import Recipe
from urbanpipe.outputs import plain_text, whole_path, write_text
from urbanpipe.reproduce.experiment import ReportExperiment
from urbanpipe.reproduce.models import Model, notes_of
from urbanpipe.reproduce.report_models import Scale, notes_on

SHOWN = 4
SIDE = 480  # width of an image in the picture in pixels
_LINE = 28


def picture_of_inputs(experiment: ReportExperiment, recipe: Recipe, out: Path, scale: Scale) -> str:
    """Write `figure2.png`: super-images of the videos with most labels, in evaluation and in one training epoch.

    Returns a description of the figure.

    Raises:
        RunError: the recipe's method has no super-images.
        VideoError: a video cannot be read.
    """
    if recipe.input.tile_grid == (1, 1):
        raise RunError(f"{recipe.name} has no super-images; its method is {recipe.input.method}")
    videos = sorted(experiment.catalog.labelled, key=lambda video: (-len(video.labels or ()), video.name))[:SHOWN]
    reader = CatalogReader(recipe.view, None)
    rows = []
    for index, video in enumerate(videos):
        images = [
            reader.evaluation_sample(video, 0, 1).images[0],
            reader.training(video, SampleSeed(0, 0, index)).images[0],
        ]
        codes = " ".join(experiment.catalog.taxonomy.codes[label] for label in video.labels or ())
        rows.append(_row([_picture(image) for image in images], [f"{video.name}  {codes}", "in training"]))
    with whole_path(out / "figure2.png") as path:
        Image.fromarray(np.concatenate(rows)).save(path, format="PNG")
    what = f"super-images of {len(videos)} videos, left in evaluation, right in training"
    notes = notes_on({recipe.name: recipe}, scale)
    return f"{out / 'figure2.png'}: {what}\n\n" + "".join(f"- {note}\n" for note in notes)


def _picture(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    side = Image.fromarray(image.transpose(1, 2, 0))
    return np.asarray(side.resize((SIDE, round(SIDE * side.height / side.width)), Image.Resampling.BILINEAR))


def _row(pictures: Sequence[NDArray[np.uint8]], titles: Sequence[str]) -> NDArray[np.uint8]:
    columns = []
    for picture, title in zip(pictures, titles, strict=True):
        strip = Image.new("RGB", (SIDE, _LINE), "white")
        ImageDraw.Draw(strip).text((4, 4), plain_text(title), fill="black", font=ImageFont.load_default(16))
        columns.append(np.concatenate([np.asarray(strip), picture]))
    gap = np.full((len(columns[0]), 8, 3), 255, np.uint8)
    return np.concatenate([columns[0], gap, columns[1]], axis=1)


def pictures_of_attention(experiment: ReportExperiment, model: Model, device: str, out: Path, scale: Scale) -> str:
    """Write `figure3/` and `figure3.md`: Grad-CAM of the videos of a fold with most labels; see `explain`.

    The network was not trained on these videos. Returns the content of `figure3.md`.

    Raises:
        RunError: the model could not be trained.
        VideoError: a video cannot be read.
    """
    if model.maps is None:
        raise RunError(f"{model.entry.name} could not be trained: {model.reason}")
    fold, names = next(iter(experiment.names(model.run).items()))
    labelled = [video for video in experiment.videos(names) if video.labels]
    videos = sorted(labelled, key=lambda video: (-len(video.labels or ()), video.name))[:SHOWN]
    made = [
        path
        for video in videos
        for path in _explained(experiment, model, fold, video=video, device=device, out=out / "figure3")
    ]
    text = f"{model.entry.key}, fold {fold}: the true classes in {len(videos)} videos that it was not trained on.\n\n"
    text += "".join(f"- {line}\n" for line in (*made, *notes_of(model, scale)))
    write_text(out / "figure3.md", text)
    return text


def _explained(
    experiment: ReportExperiment, model: Model, fold: int, *, video: Video, device: str, out: Path
) -> list[str]:
    """Write pictures of a video's classes, in the folder structure of the videos, because names may repeat."""
    codes = [experiment.catalog.taxonomy.codes[label] for label in video.labels or ()]
    explanation = explain(
        model.run,
        video.path,
        out=out.joinpath(*map(file_name, PurePosixPath(video.name).parts[:-1])),
        classes=codes,
        fold=fold,
        options=InferenceOptions(device=device),
    )
    return [path.relative_to(out).as_posix() for path in explanation.pictures]
