"""Pretraining from a catalog, a method and a backbone to a file of weights.

The folder holds settings.toml (what the run was started with), videos.json (its videos then), left_out.csv (those that
could not be decoded or were lost since, and why), metrics.csv and tensorboard/, weights.safetensors (names as in timm)
and done.json; last.pt until the run is finished.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w
import torch
from torch import nn

from urbanpipe.catalog.catalog_file import Catalog, Video, read_catalog
from urbanpipe.catalog.folds import read_folds
from urbanpipe.contracts.name_matching import match_names
from urbanpipe.contracts.names import shortened
from urbanpipe.contracts.run_folder import DONE, LEFT_OUT, read_done, read_left_out
from urbanpipe.errors import CatalogError, FoldError, OutOfMemoryError, RunError
from urbanpipe.inputs.dataset import VideoDataset, frame_cache
from urbanpipe.inputs.interval_frames import AllFrames
from urbanpipe.inputs.loading import loading_workers, unreadable
from urbanpipe.locks import folder_lock
from urbanpipe.methods.bag import BagConfig
from urbanpipe.models.backbone import Backbone
from urbanpipe.models.config import ModelConfig
from urbanpipe.models.device import choose_device, processors_left
from urbanpipe.models.weights import content_of, load_weights
from urbanpipe.outputs import write_csv, write_text
from urbanpipe.pretraining.config import MAEConfig, SimCLRConfig, read_settings
from urbanpipe.pretraining.frames import FrameDataset, frame_batches
from urbanpipe.pretraining.loop import run_epochs
from urbanpipe.pretraining.views import make_views
from urbanpipe.progress import track
from urbanpipe.settings import read_toml
from urbanpipe.training.loggers import LoggerChoice, check_logger
from urbanpipe.training.lost_videos import videos_lost_since
from urbanpipe.training.options import RunOptions
from urbanpipe.training.run import Row, rows_as_begun, video_rows, write_begun
from urbanpipe.video.cache import FrameCache

log = logging.getLogger(__name__)

SETTINGS = "settings.toml"


def pretrain(
    data: Path,
    method: str,
    *,
    backbone: str,
    out: Path,
    overrides: Sequence[str] = (),
    folds: Path | None = None,
    without_fold: int | None = None,
    options: RunOptions = RunOptions(),
) -> Path:
    """Pretrain a backbone on the frames of a catalog, without its labels; rerun to resume.

    A video that was lost since the run began is named in the log and left out of the epochs that remain.

    Args:
        data: catalog.
        method: `simclr` (any timm backbone) or `mae` (a plain ViT).
        backbone: timm model name.
        out: folder for `weights.safetensors`, which any recipe accepts as `model.weights`, `metrics.csv` and
            `settings.toml`.
        overrides: `key=value`; the settings are in `pretraining/config.py`.
        folds: CSV `video,fold`, to leave out the videos of `without_fold` for evaluation.
        without_fold: the fold to leave out.
        options: device, frame cache and logger.

    Returns:
        The folder.

    Raises:
        UrbanpipeError: an argument cannot be used.
    """
    check_logger(options.logger)
    config, chosen = read_settings(method, overrides), choose_device(options.device)
    torch.manual_seed(config.seed)
    model = ModelConfig(backbone=backbone, options=config.options)
    network = Backbone(model, (config.size, config.size))
    weights = load_weights(network, backbone, config.weights)
    objective = _objective(network, config)
    catalog = read_catalog(data, labels=False)
    videos = _videos(catalog, data, folds, without_fold)
    frames, logger = frame_cache(options.cache, options.cache_gb), LoggerChoice(options.logger, out)
    with folder_lock(out):
        good = _begin(out, config, backbone, videos, catalog=catalog, cache=frames)
        if read_done(out):
            return out
        log.info("%s: %s; %d videos", method, weights, len(good))
        dataset = FrameDataset(_dataset(config, good, frames), make_views(config), config.seed)
        try:
            with processors_left(chosen, loading_workers(config.workers)):
                run_epochs(objective, network, dataset, config=config, folder=out, device=chosen, logger=logger)
        except torch.OutOfMemoryError as error:
            now = f"batch_size (now {config.batch_size}) or size (now {config.size})"
            raise OutOfMemoryError(f"out of memory on {chosen}: --set a smaller {now}, and another --out") from error
    return out


def _objective(network: Backbone, config: SimCLRConfig | MAEConfig) -> nn.Module:
    """Return the training objective: the method around the backbone.

    Raises:
        RunError: lightly is not installed.
        RecipeError: the method does not support this backbone.
    """
    try:
        from urbanpipe.pretraining.mae import MAE
        from urbanpipe.pretraining.simclr import SimCLR
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "lightly":
            raise
        raise RunError('pretraining needs the package lightly: pip install "urbanpipe[pretrain]"') from None
    return SimCLR(network, config) if isinstance(config, SimCLRConfig) else MAE(network, config)


def _videos(catalog: Catalog, data: Path, folds: Path | None, without_fold: int | None) -> list[Video]:
    """Return the training videos, without those of the fold and unlabelled ones of the same inspections."""
    if (folds is None) != (without_fold is None):
        raise FoldError("--folds FILE and --without-fold K go together; without both, every video is used")
    videos = list(catalog.ok)
    if folds is not None:
        given = read_folds(folds)
        matched = match_names(given, [video.name for video in catalog.videos]).matched
        assignment = {video: given[name] for name, video in matched.items()}
        if without_fold not in given.values():
            raise FoldError(f"there is no fold {without_fold} in {folds}; it has {sorted(set(given.values()))}")
        if lost := sorted(name for name, fold in given.items() if fold == without_fold and name not in matched):
            raise FoldError(
                f"{folds} puts {shortened(lost)} in fold {without_fold}, which {data} does not have: they could not be "
                "left out; use the folds made from this catalog"
            )
        left_out = {video.group for video in videos if assignment.get(video.name) == without_fold}
        siblings = {video.name for video in videos if video.name not in assignment and video.group in left_out}
        videos = [v for v in videos if assignment.get(v.name) != without_fold and v.name not in siblings]
    if not videos:
        raise CatalogError(f"{data} has no video to train on; see its column status")
    return videos


def _dataset(config: SimCLRConfig | MAEConfig, videos: Sequence[Video], cache: FrameCache | None) -> VideoDataset:
    view = AllFrames(BagConfig(size=config.size, every_seconds=config.every_seconds))
    return VideoDataset(videos, view, cache, config.seed)


def _begin(
    out: Path,
    config: SimCLRConfig | MAEConfig,
    backbone: str,
    videos: Sequence[Video],
    *,
    catalog: Catalog,
    cache: FrameCache | None,
) -> list[Video]:
    """Create the folder, or check that it was started with the same inputs; return the decodable videos.

    Raises:
        RunError: the folder was started with other settings or videos.
        CatalogError: no video can be decoded.
        RecipeError: there are fewer frames than one batch needs.
    """
    asked = {
        "method": config.method,
        "backbone": backbone,
        "first_weights": content_of(config.weights) or config.weights,
        "settings": config.model_dump(mode="json", exclude={"workers"}),
    }
    begun = (out / SETTINGS).exists()
    if begun:
        left_out, new = read_left_out(out), _lost(out, asked, videos, catalog, cache)
    else:
        left_out, new = {}, _unreadable(_dataset(config, videos, cache), config.workers)
    left_out |= new
    good = [video for video in videos if video.name not in left_out]
    if new or not begun:
        _check_left(config, good, left_out, cache)  # before anything is written
        write_csv(out / LEFT_OUT, ["video", "reason"], sorted(left_out.items()))
    if not begun:
        write_begun(out, rows := video_rows(videos, {}), videos)
        write_text(out / SETTINGS, tomli_w.dumps(asked | {"videos": _fingerprint(rows)}))
    for name, reason in left_out.items():
        log.info("left out %s: %s", name, reason)
    return good


def _lost(
    out: Path, asked: dict[str, Any], videos: Sequence[Video], catalog: Catalog, cache: FrameCache | None
) -> dict[str, str]:
    """Return the reasons, by name, of videos that were lost since an unfinished run began.

    Raises:
        RunError: the folder was started with other settings or videos.
    """
    lost = {} if (out / DONE).exists() else videos_lost_since(out, videos, catalog, cache)
    rows = rows_as_begun(out, video_rows(videos, {}), lost)
    _check(out / SETTINGS, asked | {"videos": _fingerprint(rows)})
    return lost


def _check_left(
    config: SimCLRConfig | MAEConfig, videos: Sequence[Video], left_out: dict[str, str], cache: FrameCache | None
) -> None:
    """Refuse to train on no videos, or on fewer frames than one batch needs."""
    if not videos:
        name, reason = next(iter(left_out.items()))
        raise CatalogError(f"none of the {len(left_out)} videos can be read; the first, {name}: {reason}")
    dataset = _dataset(config, videos, cache)
    frame_batches([dataset.segment_count(index) for index in range(len(videos))], config, 0)


def _unreadable(dataset: VideoDataset, workers: int) -> dict[str, str]:
    """Return reasons, by name, of the videos that cannot be decoded.

    Reading all videos once also fills the cache.
    """
    checks = track(unreadable(dataset, workers), len(dataset), "reading frames")
    return {dataset.videos[index].name: error.reason for index, error in checks if error is not None}


def _check(path: Path, asked: dict[str, Any]) -> None:
    """Raise an error if the folder was started with inputs other than `asked`."""
    try:
        begun = read_toml(path)
        found = begun | begun["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged; delete {path.parent} to start again") from error
    wanted = asked | asked["settings"]
    passed = ("settings", "weights")  # a file of weights is identified by its content
    if changed := [key for key in ("videos", *wanted) if key not in passed and wanted[key] != found.get(key)]:
        was, now = found.get(changed[0]), wanted[changed[0]]
        what = "videos" if changed[0] == "videos" else f"{changed[0]}: {was!r} instead of {now!r}"
        raise RunError(f"{path.parent} was started with other {what}; give another --out")


def _fingerprint(rows: Sequence[Row]) -> str:
    return hashlib.blake2b(json.dumps([row[:2] for row in rows]).encode(), digest_size=16).hexdigest()
