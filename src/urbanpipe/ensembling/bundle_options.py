"""Options of `bundle`."""

from dataclasses import dataclass

from urbanpipe.decision.triage import MISS_BOUND, PRECISION
from urbanpipe.inference.options import GraphRuntimeName


@dataclass(frozen=True, kw_only=True)
class TriageTargets:
    """What triage must hold on videos that the networks were not trained on.

    Attributes:
        miss_bound: maximum share of true classes that may be rejected.
        precision: minimum share of accepted classes that are correct.
    """

    miss_bound: float = MISS_BOUND
    precision: float = PRECISION


@dataclass(frozen=True, kw_only=True)
class BundleLabel:
    """What a bundle calls itself.

    Attributes:
        name: default: the name of the model's folder.
        demonstration: not to be relied on.
    """

    name: str | None = None
    demonstration: bool = False


@dataclass(frozen=True, kw_only=True)
class NetworkStorage:
    """How a bundle stores its networks.

    Attributes:
        half: store weights in half precision, which halves their size.
        runtimes: runtimes for which graphs are stored too, which need no torch: each network's graphs are compared with
            torch on its training catalog, which is needed.
    """

    half: bool = False
    runtimes: tuple[GraphRuntimeName, ...] = ()
