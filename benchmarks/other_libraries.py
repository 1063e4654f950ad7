"""The same super-images, folds and ImageNet weights with fastai and with timm, as their documentation trains.

    python benchmarks/other_libraries.py images CATALOG FOLDS images.npz
    python benchmarks/other_libraries.py fastai images.npz --weights mobilenetv2_100.safetensors
    python benchmarks/other_libraries.py timm images.npz --weights mobilenetv2_100.safetensors

`images` writes the evaluated super-image of each labelled video. fastai (`pip install fastai`) gets `lr_find` and
`fine_tune` with its default augmentation. timm gets AdamW, a cosine schedule with warm-up, binary cross entropy, and
the training transform of its own script. Both train for 24 epochs and are evaluated at the last one. Each line has the
mAP of a fold and the CPU seconds that its training took.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from timm.data import create_transform, resolve_data_config
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler

from urbanpipe.catalog.catalog_file import read_catalog
from urbanpipe.catalog.folds import read_folds
from urbanpipe.catalog.labels import label_matrix
from urbanpipe.errors import VideoError
from urbanpipe.evaluation.average_precision import fold_aps, mean_of_known
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.methods.recipe import load_recipe

RECIPE, BACKBONE = "small-mobilenetv2", "mobilenetv2_100"
OPTIONS = {"pad_type": "same"}
EPOCHS, WARMUP_EPOCHS, BATCH = 24, 3, 16
RATE, DECAY = 1e-3, 0.05  # of timm's recipe

Arrays = dict[str, NDArray[Any]]
Train = Callable[[Arrays, NDArray[np.bool_], Path], NDArray[np.float64]]


def write_images(catalog_file: Path, folds_file: Path, out: Path) -> None:
    """Write the evaluated super-images (n, height, width, 3), uint8, with labels and folds."""
    catalog, folds, view = read_catalog(catalog_file), read_folds(folds_file), load_recipe(RECIPE).view
    videos = [video for video in catalog.labelled if video.name in folds]
    dataset = VideoDataset(videos, view, None)
    images = [_super_image(dataset, index) for index in range(len(videos))]
    names = [video.name for video in videos]
    labels = {video.name: video.labels or () for video in videos}
    np.savez(
        out,
        images=np.stack(images),
        targets=label_matrix(names, labels, len(catalog.taxonomy)),
        folds=np.array([folds[name] for name in names]),
    )


def _super_image(dataset: VideoDataset, index: int) -> NDArray[np.uint8]:
    segments = dataset[(index, 0, 1)].segments
    if isinstance(segments, VideoError):
        raise segments
    image: NDArray[np.uint8] = segments.images[0].transpose(1, 2, 0)
    return image


def with_fastai(arrays: Arrays, test: NDArray[np.bool_], weights: Path) -> NDArray[np.float64]:
    """Return probabilities (test videos, classes) of fastai's transfer learning."""
    from fastai.vision import all as fastai

    images, targets = arrays["images"], arrays["targets"].astype(np.float32)
    codes = [str(number) for number in range(targets.shape[1])]
    block = fastai.DataBlock(
        blocks=(fastai.ImageBlock, fastai.MultiCategoryBlock(encoded=True, vocab=codes)),
        get_x=lambda index: fastai.PILImage.create(images[index]),
        get_y=lambda index: targets[index],
        splitter=fastai.IndexSplitter(np.flatnonzero(test)),
        batch_tfms=[*fastai.aug_transforms(), fastai.Normalize.from_stats(*fastai.imagenet_stats)],
    )
    loaders = block.dataloaders(range(len(images)), bs=BATCH, num_workers=0)
    learner = fastai.vision_learner(loaders, BACKBONE, pretrained=False, metrics=[], **OPTIONS)
    _load(learner.model[0].model, weights)
    learner.freeze()
    with learner.no_bar(), learner.no_logging():
        rate = learner.lr_find(show_plot=False).valley
        learner.fine_tune(EPOCHS, rate)
        scores, _ = learner.get_preds()
    return np.asarray(scores, dtype=np.float64)


def with_timm(arrays: Arrays, test: NDArray[np.bool_], weights: Path) -> NDArray[np.float64]:
    """Return probabilities (test videos, classes) of a recipe like that of timm's training script."""
    targets = torch.from_numpy(arrays["targets"].astype(np.float32))
    model = timm.create_model(BACKBONE, num_classes=targets.shape[1], **OPTIONS)
    _load(model, weights)
    model = model.to(memory_format=torch.channels_last)
    size = arrays["images"].shape[1]
    config = {**resolve_data_config({}, model=model), "input_size": (3, size, size), "crop_pct": 1.0}
    augment = create_transform(**config, is_training=True)
    plain = create_transform(**config)

    def batch(rows: NDArray[np.int64], transform: Any) -> torch.Tensor:
        stacked = torch.stack([transform(Image.fromarray(arrays["images"][row])) for row in rows])
        return stacked.contiguous(memory_format=torch.channels_last)

    optimiser = create_optimizer_v2(model, opt="adamw", lr=RATE, weight_decay=DECAY)
    schedule = CosineLRScheduler(optimiser, EPOCHS, warmup_t=WARMUP_EPOCHS, warmup_lr_init=1e-5)
    training = np.flatnonzero(~test)
    for epoch in range(EPOCHS):
        schedule.step(epoch)
        order = np.random.default_rng(epoch).permutation(training)
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            logits = model.train()(batch(rows, augment))
            optimiser.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(logits, targets[rows]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    with torch.inference_mode():
        parts = [model.eval()(batch(rows, plain)) for rows in np.array_split(np.flatnonzero(test), 8)]
    return torch.cat(parts).double().sigmoid().numpy()


def _load(network: torch.nn.Module, weights: Path) -> None:
    """Load ImageNet weights without those of the classifier."""
    state = {name: value for name, value in load_file(weights).items() if not name.startswith("classifier")}
    missing, unknown = network.load_state_dict(state, strict=False)
    assert not unknown, f"{weights} has other tensors: {unknown[:3]}"
    assert all(name.startswith("classifier") for name in missing), f"{weights} lacks {missing[:3]}"


LIBRARIES: dict[str, Train] = {"fastai": with_fastai, "timm": with_timm}


def main() -> None:
    """Write images, or print a line per fold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["images", *LIBRARIES])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fold", type=int, action="append", help="a fold to train; repeatable; default: all")
    given = parser.parse_args()
    if given.what == "images":
        write_images(*given.files)
        return
    with np.load(given.files[0]) as stored:
        arrays = dict(stored)
    maps = []
    for fold in given.fold or np.unique(arrays["folds"]):
        torch.manual_seed(given.seed)
        test, started = arrays["folds"] == fold, time.process_time()
        scores = LIBRARIES[given.what](arrays, test, given.weights)
        seconds = time.process_time() - started
        maps.append(100 * mean_of_known(fold_aps(scores, arrays["targets"][test], np.zeros(test.sum(), np.int64))))
        print(f"{given.what} fold {fold}: mAP {maps[-1]:.1f}, {seconds:.0f} CPU seconds", flush=True)
    if len(maps) > 1:
        print(f"{given.what}: mAP {np.mean(maps):.1f} ({np.std(maps, ddof=1):.1f})")


if __name__ == "__main__":
    main()
