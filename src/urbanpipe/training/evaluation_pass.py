"""Prediction of a whole data set, with the videos divided among the processes of a run."""

from collections.abc import Iterator, Sequence

from urbanpipe.errors import VideoError
from urbanpipe.inference.prediction import VideoPrediction
from urbanpipe.inference.scoring import predict_batches
from urbanpipe.inference.torch_runtime import TorchRuntime
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.inputs.loading import BatchLoader, evaluation_batches
from urbanpipe.inputs.reading import frame_timeline_of
from urbanpipe.learners.features import encoded, encoder_digest
from urbanpipe.methods.recipe import Recipe
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.models.network import Network


def predict_all(
    recipe: Recipe, networks: Sequence[Network], dataset: VideoDataset, distributed: DistributedContext
) -> list[list[VideoPrediction]]:
    """Return the predictions of networks for a data set, as [network][video].

    The data set is read once for all networks; for bags once for each backbone, unless its features are stored.

    Raises:
        VideoError: a video cannot be read.
    """
    bags = [network for network in networks if network.frozen_encoder]
    own = _of_bags(recipe, bags, dataset, distributed) if bags else _of_pixels(recipe, networks, dataset, distributed)
    predictions = {key: video for part in distributed.gather(dict(own)) for key, video in part.items()}
    return [[predictions[number, index] for index in range(len(dataset))] for number in range(len(networks))]


def _of_pixels(
    recipe: Recipe, networks: Sequence[Network], dataset: VideoDataset, distributed: DistributedContext
) -> Iterator[tuple[tuple[int, int], VideoPrediction]]:
    """Yield ((network, video), prediction) for the videos of this process."""
    device, training = distributed.device, recipe.training
    segments = [dataset.segment_count(index) for index in range(len(dataset))]
    at_once = training.batch_size * recipe.input.train_segments
    batches = evaluation_batches(segments, at_once, distributed.count, distributed.rank)
    loader = BatchLoader(dataset, batches, training.workers, pin=device.type == "cuda")
    runtimes = [TorchRuntime(network, recipe, device) for network in networks]
    for index, result in predict_batches(runtimes, loader):
        if isinstance(result, VideoError):
            raise result
        yield from (((number, index), prediction) for number, prediction in enumerate(result))


def _of_bags(
    recipe: Recipe, networks: Sequence[Network], dataset: VideoDataset, distributed: DistributedContext
) -> Iterator[tuple[tuple[int, int], VideoPrediction]]:
    """Yield ((network, video), prediction) of bags; networks with the same frozen backbone share its features."""
    alike: dict[bytes, list[int]] = {}
    for number, network in enumerate(networks):
        alike.setdefault(encoder_digest(network.eval(), recipe, distributed.device), []).append(number)
    for numbers in alike.values():
        group = [networks[number] for number in numbers]
        runtimes = [TorchRuntime(network, recipe, distributed.device) for network in group]
        for index, features in encoded(group[0], dataset, recipe, distributed):
            timeline = frame_timeline_of(dataset.videos[index])
            spans = timeline.spans(dataset.view.evaluation_sample(timeline).frames)
            predictions = [runtime.aggregate(features.numpy(), spans) for runtime in runtimes]
            yield from (((number, index), video) for number, video in zip(numbers, predictions, strict=True))
