"""`explain`: where in the picture, and when, a trained network detects a class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.contracts.names import canonical_name
from urbanpipe.errors import OutOfMemoryError, PredictionError, VideoError
from urbanpipe.explain.grad_cam import grad_cam
from urbanpipe.explain.heat import Heat, scaled
from urbanpipe.explain.network import Explained, load_explained
from urbanpipe.explain.writing import Explanation, check_others, write
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inference.prediction import VideoPrediction
from urbanpipe.inference.scoring import predict_batches
from urbanpipe.inference.torch_runtime import TorchRuntime
from urbanpipe.inputs.batches import collate
from urbanpipe.inputs.frame_maps import Maps, of_frames
from urbanpipe.inputs.frame_timeline import FrameTimeline, Selection
from urbanpipe.inputs.new_videos import new_samples
from urbanpipe.inputs.view import View
from urbanpipe.models.device import choose_device, images_to
from urbanpipe.models.layers import Layout, choose_layer, layout_of, noise, recorded
from urbanpipe.outputs import output_folder
from urbanpipe.video.index import FrameIndex
from urbanpipe.video.isolated import check_regular, index_frames, read_frames

CERTAIN = 0.5  # minimum probability of the classes that are explained by default


def explain(
    run: Path,
    video: Path,
    *,
    out: Path,
    classes: Sequence[str] = (),
    layer: str | None = None,
    fold: int | None = None,
    top: int = 9,
    options: InferenceOptions = InferenceOptions(),
) -> Explanation:
    """Show where and when one network of a run detects a class in a video, by Grad-CAM (arXiv 1610.02391).

    Args:
        run: folder of `train`, or of one run of `crossval`.
        video: the video file.
        out: output folder for `<video>.<CODE>.png` and `.npz` of each class, and `<video>.json`.
        classes: codes or indices; if empty, the classes with a probability of at least 0.5, or else the most probable
            one.
        layer: name of a module of the backbone; None for the last one with a map that is fine enough, see
            `choose_layer`.
        fold: fold of a cross-validation; None for the first.
        top: number of segments (frames, clips) that are explained per class, those with the highest scores.
        options: device, and batch size of passes without gradients.

    Raises:
        RunError: the run cannot be explained, or the fold or layer does not exist.
        TaxonomyError: a class does not exist.
        VideoError: the video is missing or cannot be read.
        OutOfMemoryError: the device is out of memory.
        OutputError: the results cannot be written, which is checked before the work starts, or `out` holds other files
            of the same names.
    """
    if top < 1 or options.batch_size < 1:
        raise PredictionError(f"top {top}, batch size {options.batch_size}: give 1 or more")
    check_regular(video)
    output_folder(out)
    check_others(out, video)
    chosen = choose_device(options.device)
    loaded = load_explained(run, fold, canonical_name(video.name), chosen)
    asked = [loaded.taxonomy.index(code) for code in dict.fromkeys(classes)]
    try:
        explainer = VideoExplainer(loaded, video, chosen, layer)
        prediction = explainer.prediction(options.batch_size)
        heats = [explainer.heat(prediction, index, top) for index in dict.fromkeys(asked or likely(prediction.scores))]
    except (torch.OutOfMemoryError, OutOfMemoryError) as error:
        advice = "lower --batch-size, give a later --layer, or use --device cpu"
        raise OutOfMemoryError(f"out of memory on {chosen}: {advice}") from error
    return write(out, run, loaded, layer=explainer.layer, index=explainer.index, scores=prediction.scores, found=heats)


def likely(scores: NDArray[np.float64]) -> list[int]:
    """Return the classes to explain by default, most probable first: those of at least CERTAIN, or the best one."""
    order = np.argsort(-scores, kind="stable")
    return [int(index) for index in order if scores[index] >= CERTAIN] or [int(order[0])]


class VideoExplainer:
    """A network, a video, and the layer of the network that is used to explain the video.

    Args:
        loaded: the network.
        video: the video file.
        device: device of the network.
        layer: name of a layer of the backbone; None chooses automatically.

    Raises:
        VideoError: the video cannot be read.
        RunError: the layer does not exist, or no layer is suitable.
    """

    def __init__(self, loaded: Explained, video: Path, device: torch.device, layer: str | None) -> None:
        self.loaded, self.device = loaded, device
        recipe = loaded.recipe
        self.view: View = recipe.view
        self.index: FrameIndex = index_frames(video)
        self.timeline = FrameTimeline(self.index.frame_count, self.index.duration_seconds, self.index.times_seconds)
        self.layout: Layout = layout_of(loaded.network.backbone.net, recipe.input.backbone_size)
        image = self._on_device(noise(recipe.input))
        self.layer = choose_layer(loaded.network, self.layout, image, layer, recipe.input.tile_grid)

    def prediction(self, batch_size: int) -> VideoPrediction:
        """Return the prediction for the video and each segment, in one pass without gradients.

        Raises:
            VideoError: the video cannot be read.
        """
        samples = new_samples([self.index.path], self.view, batch_size)
        runtime = TorchRuntime(self.loaded.network, self.loaded.recipe, self.device)
        ((_, result),) = predict_batches([runtime], (collate([sample]) for sample in samples))
        if isinstance(result, VideoError):
            raise result
        return result[0]

    def heat(self, prediction: VideoPrediction, index: int, top: int) -> Heat:
        """Return the maps of a class in the segments with its highest scores, which are read again one by one.

        Args:
            prediction: prediction of the network.
            index: index of the class.
            top: largest number of segments; of equal scores the earlier ones are used.
        """
        selection = self.view.evaluation_sample(self.timeline)
        best = np.sort(np.argsort(-prediction.segments[:, index], kind="stable")[:top])
        raw = [self._maps(selection[best[number : number + 1]], index) for number in range(len(best))]
        frames = np.concatenate([selection.frames[row, : selection.real[row]] for row in best])
        segments = np.repeat(best, selection.real[best])
        maps, highest = scaled(np.concatenate(raw))
        order = np.argsort(frames, kind="stable")
        return Heat(
            index=index,
            probability=float(prediction.scores[index]),
            frames=frames[order],
            seconds=self.timeline.edges_seconds[frames[order]],
            segments=segments[order],
            segment_scores=prediction.segments[segments[order], index],
            maps=maps[order],
            raw_maximum=highest,
        )

    def _maps(self, segment: Selection, index: int) -> NDArray[np.float32]:
        """Return raw maps (k, h, w) of the frames of one segment that are not padding."""
        pixels = read_frames(self.index.path, segment.frames[0], self.view.frame_size, self.index, "conceal")
        images = self._on_device(torch.from_numpy(self.view.evaluation_input(pixels)[None]))
        return frame_maps(self.loaded, self.layer, self.layout, image=images, real=int(segment.real[0]), index=index)

    def _on_device(self, images: Tensor) -> Tensor:
        return images_to(images, self.device, self.loaded.recipe.training.channels_last)


def frame_maps(loaded: Explained, layer: str, layout: Layout, *, image: Tensor, real: int, index: int) -> Maps:
    """Return raw, non-negative maps (k, h, w) of a class in the k frames of one segment that are not padding.

    Args:
        loaded: the network.
        layer: name of a layer of the backbone.
        layout: layout of the backbone.
        image: the segment in the shape of the view, (1, ...), on the network's device.
        real: k.
        index: index of the class.
    """
    config = loaded.recipe.input
    count = torch.tensor([real], device=image.device)
    views = [
        class_maps(loaded, layer, layout, images=image.flip(axes), real=count, index=index).flip(axes)
        for axes in config.flip_axes
    ]
    return of_frames(torch.stack(views).mean(0).cpu().numpy(), config)[:real]


def class_maps(loaded: Explained, layer: str, layout: Layout, *, images: Tensor, real: Tensor, index: int) -> Tensor:
    """Return Grad-CAM of a class's logit in segments.

    It is computed in full precision, because small gradients would vanish in the recipe's mixed precision.

    Args:
        loaded: the network.
        layer: name of a layer of the backbone.
        layout: layout of the backbone.
        images: segments in the shape of the view, on the network's device.
        real: number of frames of each segment that are not padding, (segments,), on the same device.
        index: index of the class.

    Returns:
        Non-negative float32: (segments, h, w), (segments, t, h, w) for clips, or (segments * frames, h, w) where an
        image network encodes the frames of clips one by one.
    """
    module = loaded.network.backbone.net.get_submodule(layer)
    with recorded(module) as kept, torch.enable_grad():
        score = loaded.network.segment_logits(images, real)[:, index].sum()
    (gradient,) = torch.autograd.grad(score, kept)
    activations, gradients = layout.maps(kept[0].detach()), layout.maps(gradient)
    assert activations is not None, "the layer was chosen for its map"
    assert gradients is not None, "gradients are of the same shape"
    return grad_cam(activations, gradients).float()
