"""Workers of `archive run` on a Ray cluster: actors that load their networks once and take shard after shard."""

import os
from collections import deque
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError

from urbanpipe.archive.shards.workers import Found, LoadedWork, LostShard, Workplace, refuse_deaths
from urbanpipe.archive_store.outcomes import VideoOutcome
from urbanpipe.errors import ArchiveError, UrbanpipeError

LOCAL = "local"


class ShardActor:
    """Runs shards, with one inspector for all of them.

    Args:
        workplace: what workers need to know.
    """

    def __init__(self, workplace: Workplace) -> None:
        self._workplace, self._work = workplace, LoadedWork(workplace)

    def run(self, shard: int) -> list[VideoOutcome | LostShard | UrbanpipeError]:
        """Return the outcomes of a shard; an error that ends the run is the last item."""
        made: list[VideoOutcome | LostShard | UrbanpipeError] = []
        try:
            made.extend(replace(self._workplace, shards=(shard,)).outcomes(work=self._work))
        except UrbanpipeError as error:
            made.append(error)
        return made


def outcomes_of_actors(workplace: Workplace, address: str) -> Found:
    """Yield the outcomes of actors, as many as there are workers. One that dies is replaced, and its shard run again.

    Args:
        workplace: what workers need to know; its archive must be visible from all machines.
        address: address of the cluster; `auto` finds that of this machine, `local` starts one that ends with the run.

    Raises:
        ArchiveError: the cluster cannot be reached, or actors die again and again.
        UrbanpipeError: the first error of an actor.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no report to Ray's authors, unless the user wants it
    try:
        ray.init(address=address, log_to_driver=False, include_dashboard=False if address == LOCAL else None)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).split("\n", 1)[0]
        raise ArchiveError(f"cannot use the Ray cluster {address}: {reason}; give its address, auto or local") from None
    try:
        yield from _outcomes(workplace)
    finally:
        ray.shutdown()


def _outcomes(workplace: Workplace) -> Found:
    waiting = deque(workplace.shards)
    running: dict[Any, tuple[Any, int]] = {}
    for _ in range(min(workplace.options.workers, len(waiting))):
        _start(_actor(workplace), waiting, running)
    deaths = 0
    while running:
        (ended, *_), _ = ray.wait([*running], num_returns=1)
        actor, shard = running.pop(ended)
        try:
            items = ray.get(ended)
        except RayError:  # the actor has died, or its machine
            deaths += 1
            refuse_deaths(deaths)
            waiting.append(shard)
            items, actor = [], _actor(workplace)
        for item in items:
            if isinstance(item, UrbanpipeError):
                raise item
            yield item
        _start(actor, waiting, running)


def _start(actor: Any, waiting: deque[int], running: dict[Any, tuple[Any, int]]) -> None:
    """Give an actor the next shard, if there is one."""
    if waiting:
        shard = waiting.popleft()
        running[actor.run.remote(shard)] = actor, shard


def _actor(workplace: Workplace) -> Any:
    """Start an actor, on a GPU of its own if the cluster has any."""
    gpus = 1 if ray.cluster_resources().get("GPU", 0) else 0  # type: ignore[no-untyped-call]
    return ray.remote(num_cpus=1, num_gpus=gpus)(ShardActor).remote(workplace)
