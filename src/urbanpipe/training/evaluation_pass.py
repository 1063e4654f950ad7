"""What networks say of a whole data set, the work shared among the processes of a run."""

from collections.abc import Iterator, Sequence

from urbanpipe.errors import VideoError
from urbanpipe.inference.prediction import Judged
from urbanpipe.inference.scoring import conclude, judge
from urbanpipe.inputs.dataset import VideoDataset, judging_batches, make_loader
from urbanpipe.inputs.reading import footage_of
from urbanpipe.learners.features import encoded, encoder_digest
from urbanpipe.methods.recipe import Recipe
from urbanpipe.models.bag import BagClassifier
from urbanpipe.models.distributed import Processes
from urbanpipe.models.network import Network


def judge_all(
    recipe: Recipe, networks: Sequence[Network], dataset: VideoDataset, processes: Processes
) -> list[list[Judged]]:
    """What networks say of a data set: [network][video].

    The data set is read once for all networks; for bags once for each backbone, and not at all where its features are
    in the store.

    Raises:
        VideoError: a video cannot be read.
    """
    bags = [network for network in networks if isinstance(network, BagClassifier)]
    judged = _of_bags(recipe, bags, dataset, processes) if bags else _of_pixels(recipe, networks, dataset, processes)
    found = {key: video for part in processes.gather(dict(judged)) for key, video in part.items()}
    return [[found[number, index] for index in range(len(dataset))] for number in range(len(networks))]


def _of_pixels(
    recipe: Recipe, networks: Sequence[Network], dataset: VideoDataset, processes: Processes
) -> Iterator[tuple[tuple[int, int], Judged]]:
    """((network, video), what it says) of this process's videos."""
    device, training = processes.device, recipe.training
    pieces = [dataset.piece_count(index) for index in range(len(dataset))]
    at_once = training.batch_size * recipe.input.train_pieces
    batches = judging_batches(pieces, at_once, processes.count, processes.rank)
    loader = make_loader(dataset, batches, training.workers, pin=device.type == "cuda")
    for index, judged in judge(recipe, networks, loader, device):
        if isinstance(judged, VideoError):
            raise judged
        yield from (((number, index), each) for number, each in enumerate(judged))


def _of_bags(
    recipe: Recipe, networks: Sequence[BagClassifier], dataset: VideoDataset, processes: Processes
) -> Iterator[tuple[tuple[int, int], Judged]]:
    """The same of bags, from features; networks with the same frozen backbone share them."""
    alike: dict[bytes, list[int]] = {}
    for number, network in enumerate(networks):
        alike.setdefault(encoder_digest(network.eval(), recipe, processes.device), []).append(number)
    for numbers in alike.values():
        group = [networks[number] for number in numbers]
        for index, features in encoded(group[0], dataset, recipe, processes):
            footage = footage_of(dataset.videos[index])
            spans = footage.spans(dataset.view.judged(footage).frames)
            seen = [[features.to(processes.device)]] * len(group)
            judged = conclude(recipe, group, seen, spans, processes.device)
            yield from (((number, index), each) for number, each in zip(numbers, judged, strict=True))
