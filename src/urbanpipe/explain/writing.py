"""The results of `explain`: a picture and the maps of each class, and a JSON file about all of them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urbanpipe.contracts.file_names import file_name
from urbanpipe.errors import OutputError
from urbanpipe.explain.heat import Heat
from urbanpipe.explain.network import Explained
from urbanpipe.explain.picture import Title, picture, shown
from urbanpipe.outputs import remove, whole_file, whole_path, write_json
from urbanpipe.taxonomy import Taxonomy
from urbanpipe.video.index import FrameIndex
from urbanpipe.video.isolated import read_frames

_TILE_HEIGHT = 216  # pixels at which a frame is read for the picture
_DPI = 110


@dataclass(frozen=True, eq=False)
class Explanation:
    """The result of `explain`.

    Attributes:
        video: the video file.
        taxonomy: the classes of the run.
        scores: (classes,), probabilities in the whole video.
        layer: name of the layer of the backbone that was used.
        found: heat maps of one class each, in the requested order or most probable first.
        pictures: picture files, one per class.
        data: files with the maps, one per class.
        summary: the JSON file.
        notes: what must be known besides the results, one sentence each.
    """

    video: Path
    taxonomy: Taxonomy
    scores: NDArray[np.float64]
    layer: str
    found: tuple[Heat, ...]
    pictures: tuple[Path, ...]
    data: tuple[Path, ...]
    summary: Path
    notes: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Yield a line per class with its probability and hottest point, then the notes."""
        for heat, path in zip(self.found, self.pictures, strict=True):
            yield f"{self.taxonomy.codes[heat.index]} {heat.probability:.2f}: {_where(heat)}; {path.name}"
        yield from self.notes


def _where(heat: Heat) -> str:
    if (frame := heat.hottest) is None:
        return "no evidence for it in the frames"
    x, y = heat.peaks[frame]
    return f"hottest at {heat.seconds[frame]:.2f} s, {x:.0%} from the left and {y:.0%} from the top"


def write(
    out: Path,
    run: Path,
    loaded: Explained,
    *,
    layer: str,
    index: FrameIndex,
    scores: NDArray[np.float64],
    found: Sequence[Heat],
) -> Explanation:
    """Remove the files of an earlier call for the video, and write all results; the JSON last, so that it is complete.

    Args:
        out: output folder.
        run: run folder of the network.
        loaded: the network.
        layer: name of the layer that was used.
        index: frame index of the video.
        scores: (classes,), probabilities in the whole video.
        found: heat maps of the classes.

    Raises:
        OutputError: a file cannot be written.
    """
    codes, stem = loaded.taxonomy.codes, index.path.stem
    names = [file_name(f"{stem}.{codes[heat.index]}") for heat in found]
    pictures = tuple(out / f"{name}.png" for name in names)
    data = tuple(out / f"{name}.npz" for name in names)
    _remove_older(out, index.path)
    for heat, drawn, kept in zip(found, pictures, data, strict=True):
        _write_maps(heat, codes[heat.index], kept)
        _draw(heat, loaded, index, scores, drawn)
    summary = _summary(out, index.path)
    about = {
        "video": index.path.name,
        "run": str(run),
        "fold": loaded.fold,
        "method": loaded.recipe.input.method,
        "layer": layer,
        "notes": list(loaded.notes),
        "probabilities": {code: round(float(score), 6) for code, score in zip(codes, scores, strict=True)},
    }
    rows = zip(found, pictures, data, strict=True)
    classes = [_about(heat, loaded.taxonomy, drawn.name, kept.name) for heat, drawn, kept in rows]
    write_json(summary, about | {"classes": classes})
    return Explanation(index.path, loaded.taxonomy, scores, layer, tuple(found), pictures, data, summary, loaded.notes)


def check_others(out: Path, video: Path) -> None:
    """Refuse to overwrite a file that is not an explanation of this video.

    Raises:
        OutputError: the folder holds another file, or the explanation of another video, with the name of the summary.
    """
    name = _summary(out, video).name.casefold()  # Windows and macOS ignore case
    for path in (path for path in out.glob("*.json") if path.name.casefold() == name):
        of = _read_summary(path).get("video")
        if of != video.name:
            whose = f"is of {of}" if isinstance(of, str) else "is not of `explain`"
            raise OutputError(f"{path} {whose} and would be overwritten; give another --out")


def _summary(out: Path, video: Path) -> Path:
    return out / f"{file_name(video.stem)}.json"


def _read_summary(path: Path) -> dict[str, Any]:
    """Read the summary of an earlier call; empty if the file is something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    is_ours = isinstance(content, dict) and "probabilities" in content and isinstance(content.get("classes"), list)
    return content if is_ours and all(isinstance(row, dict) for row in content["classes"]) else {}


def _remove_older(out: Path, video: Path) -> None:
    """Remove an earlier explanation, so that its classes do not mix with those of another network."""
    path = _summary(out, video)
    for row in _read_summary(path).get("classes", []):
        for key in {"picture", "data"} & row.keys():
            remove(out / Path(str(row[key])).name)
    remove(path)


def _write_maps(heat: Heat, code: str, path: Path) -> None:
    with whole_file(path, "wb") as file:
        np.savez_compressed(
            file,
            code=np.array(code),
            probability=np.array(heat.probability),
            raw_maximum=np.array(heat.raw_maximum),
            maps=heat.maps,
            frames=heat.frames,
            seconds=heat.seconds,
            segments=heat.segments,
            scores=heat.segment_scores,
            peak=heat.peaks,
        )


def _draw(heat: Heat, loaded: Explained, index: FrameIndex, scores: NDArray[np.float64], path: Path) -> None:
    places = shown(heat, whole=loaded.recipe.input.tile_grid != (1, 1) and not loaded.recipe.input.many_segments)
    size = max(8, round(_TILE_HEIGHT * index.width / index.height)), _TILE_HEIGHT
    pixels = read_frames(index.path, heat.frames[places], size, index, "conceal")
    title = Title(index.path.name, loaded.taxonomy, scores, loaded.recipe.name)
    with whole_path(path) as temporary:
        picture(heat, places, pixels, title).savefig(temporary, format="png", dpi=_DPI, facecolor="white")


def _about(heat: Heat, taxonomy: Taxonomy, drawn: str, data: str) -> dict[str, Any]:
    item = taxonomy.classes[heat.index]
    frames = [_frame(heat, number) for number in range(len(heat.frames))]
    return {
        "code": item.code,
        "name": item.en,
        "probability": round(heat.probability, 6),
        "raw_maximum": heat.raw_maximum,
        "hottest": None if heat.hottest is None else frames[heat.hottest],
        "picture": drawn,
        "data": data,
        "frames": frames,
    }


def _frame(heat: Heat, number: int) -> dict[str, Any]:
    height = float(heat.heights[number])
    x, y = heat.peaks[number].round(4).tolist()
    return {
        "frame": int(heat.frames[number]),
        "seconds": round(float(heat.seconds[number]), 3),
        "segment": int(heat.segments[number]),
        "segment_probability": round(float(heat.segment_scores[number]), 6),
        "peak": {"x": x, "y": y, "height": round(height, 4)} if height > 0 else None,
        "share_of_heat": round(float(heat.shares[number]), 4),
    }
