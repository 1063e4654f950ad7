"""`explain`: where in the picture, and when, a trained network saw a class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.contracts.names import canonical_name
from urbanpipe.errors import OutOfMemoryError, PredictionError, VideoError
from urbanpipe.explain.grad_cam import grad_cam
from urbanpipe.explain.heat import Heat, of_frames, scaled
from urbanpipe.explain.network import Explained, load_explained
from urbanpipe.explain.writing import Explanation, check_others, write
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inference.prediction import VideoPrediction
from urbanpipe.inference.scoring import predict_batches
from urbanpipe.inference.torch_runtime import TorchRuntime
from urbanpipe.inputs.batches import collate
from urbanpipe.inputs.frame_timeline import FrameTimeline, Selection
from urbanpipe.inputs.new_videos import new_samples
from urbanpipe.inputs.view import View
from urbanpipe.models.device import choose_device, images_to
from urbanpipe.models.layers import Layout, choose_layer, layout_of, noise, recorded
from urbanpipe.outputs import output_folder
from urbanpipe.video.container import check_file
from urbanpipe.video.decode import FrameIndex, index_frames, read_frames

CERTAIN = 0.5  # classes at least so probable are explained unasked


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
    """Show where and when one network of a run saw a class in a video, by Grad-CAM (arXiv 1610.02391).

    Args:
        run: folder of `train`, or of one run of `crossval`.
        video: the file.
        out: folder; gets `<video>.<CODE>.png` and `.npz` for each class, and `<video>.json`.
        classes: codes or indices; none for those with a probability of .5 or more, else the most probable one.
        layer: a module of the backbone by name; None for the last with a map that is fine enough, see `choose_layer`.
        fold: of a cross-validation; None for the first.
        top: segments (frames, clips) that are explained a class, those with its highest scores.
        options: device, and segments at once where none has a gradient.

    Raises:
        RunError: the run cannot be explained, or there is no such fold or layer.
        TaxonomyError: there is no such class.
        VideoError: the video is missing or cannot be read.
        OutOfMemoryError: of the device.
        OutputError: the results cannot be written, which is tried before the work; or `out` has something else under
            their names.
    """
    if top < 1 or options.batch_size < 1:
        raise PredictionError(f"top {top}, batch size {options.batch_size}: give 1 or more")
    check_file(video)
    output_folder(out)
    check_others(out, video)
    chosen = choose_device(options.device)
    loaded = load_explained(run, fold, canonical_name(video.name), chosen)
    asked = [loaded.taxonomy.index(code) for code in dict.fromkeys(classes)]
    try:
        looking = Looking(loaded, video, chosen, layer)
        judged = looking.prediction(options.batch_size)
        found = [looking.heat(judged, index, top) for index in dict.fromkeys(asked or likely(judged.scores))]
    except (torch.OutOfMemoryError, OutOfMemoryError) as error:
        advice = "lower --batch-size, give a later --layer, or --device cpu"
        raise OutOfMemoryError(f"out of memory on {chosen}: {advice}") from error
    return write(out, run, loaded, layer=looking.layer, index=looking.index, scores=judged.scores, found=found)


def likely(scores: NDArray[np.float64]) -> list[int]:
    """The classes worth explaining, most probable first: those that are at least CERTAIN, or the best one."""
    order = np.argsort(-scores, kind="stable")
    return [int(index) for index in order if scores[index] >= CERTAIN] or [int(order[0])]


class Looking:
    """A network, a video, and the layer of the one at which the other is looked at.

    Args:
        loaded: the network.
        video: the file.
        device: that the network is on.
        layer: of the backbone; None chooses.

    Raises:
        VideoError: the video cannot be read.
        RunError: no such layer, or none that will do.
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
        """What the network says of the video and of each segment, in one pass without gradients.

        Raises:
            VideoError: it cannot be read.
        """
        samples = new_samples([self.index.path], self.view, batch_size)
        runtime = TorchRuntime(self.loaded.network, self.loaded.recipe, self.device)
        ((_, said),) = predict_batches([runtime], (collate([sample]) for sample in samples))
        if isinstance(said, VideoError):
            raise said
        return said[0]

    def heat(self, judged: VideoPrediction, index: int, top: int) -> Heat:
        """The maps of a class in the segments that say most of it, read again one by one.

        Args:
            judged: what the network says.
            index: of the class.
            top: so many segments at most; of equal scores the earlier.
        """
        selection = self.view.evaluation_sample(self.timeline)
        best = np.sort(np.argsort(-judged.segments[:, index], kind="stable")[:top])
        raw = [self._maps(selection[best[place : place + 1]], index) for place in range(len(best))]
        frames = np.concatenate([selection.frames[row, : selection.real[row]] for row in best])
        segments = np.repeat(best, selection.real[best])
        maps, highest = scaled(np.concatenate(raw))
        order = np.argsort(frames, kind="stable")
        return Heat(
            index=index,
            probability=float(judged.scores[index]),
            frames=frames[order],
            seconds=self.timeline.edges_seconds[frames[order]],
            segments=segments[order],
            segment_scores=judged.segments[segments[order], index],
            maps=maps[order],
            raw_maximum=highest,
        )

    def _maps(self, segment: Selection, index: int) -> NDArray[np.float32]:
        """Raw maps (k, h, w) of the frames of one segment that are not padding."""
        pixels = read_frames(self.index.path, segment.frames[0], self.view.frame_size, self.index, "conceal")
        images = self._on_device(torch.from_numpy(self.view.evaluation_input(pixels)[None]))
        return frame_maps(self.loaded, self.layer, self.layout, image=images, real=int(segment.real[0]), index=index)

    def _on_device(self, images: Tensor) -> Tensor:
        return images_to(images, self.device, self.loaded.recipe.training.channels_last)


def frame_maps(
    loaded: Explained, layer: str, layout: Layout, *, image: Tensor, real: int, index: int
) -> NDArray[np.float32]:
    """Raw maps (k, h, w), 0 or more, of a class in the k frames of one segment that are not padding.

    Args:
        loaded: the network.
        layer: of the backbone.
        layout: of the backbone.
        image: the segment as the view makes it, (1, ...), on the network's device.
        real: k.
        index: of the class.
    """
    config = loaded.recipe.input
    count = torch.tensor([real], device=image.device)
    views = [
        class_maps(loaded, layer, layout, images=image.flip(axes), real=count, index=index).flip(axes)
        for axes in config.flip_axes
    ]
    found: NDArray[np.float32] = of_frames(torch.stack(views).mean(0), config)[:real].cpu().numpy()
    return found


def class_maps(loaded: Explained, layer: str, layout: Layout, *, images: Tensor, real: Tensor, index: int) -> Tensor:
    """Grad-CAM of a class's logit in segments, in full precision whatever the recipe's: small gradients would be lost.

    Args:
        loaded: the network.
        layer: of the backbone.
        layout: of the backbone.
        images: segments as the view makes them, on the network's device.
        real: frames of each that are not padding, (segments,), on the same device.
        index: of the class.

    Returns:
        float32, 0 or more: (segments, h, w), (segments, t, h, w) of clips, or (segments * frames, h, w) where an image
        network sees the frames of clips one by one.
    """
    module = loaded.network.backbone.net.get_submodule(layer)
    with recorded(module) as kept, torch.enable_grad():
        score = loaded.network.segment_logits(images, real)[:, index].sum()
    (gradient,) = torch.autograd.grad(score, kept)
    activations, gradients = layout.maps(kept[0].detach()), layout.maps(gradient)
    assert activations is not None, "the layer was chosen for its map"
    assert gradients is not None, "gradients are of the same shape"
    return grad_cam(activations, gradients).float()
