"""Inspectors of a bundle, for workers."""

from dataclasses import dataclass
from pathlib import Path

from urbanpipe.archive.lazy_inspector import LazyInspector
from urbanpipe.archive.shards.inspecting import VideoInspector
from urbanpipe.archive_store.archive_settings import ArchiveSettings
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inspection.region import DistanceRegion


@dataclass(frozen=True)
class BundleSource:
    """Inspectors of a bundle.

    Attributes:
        bundle: folder of the bundle; None takes the demonstration bundle of the package.
        options: device, batch size and runtime.
        distance_region: region of the on-screen distance; `auto` looks for it in each video.
    """

    bundle: Path | None = None
    options: InferenceOptions = InferenceOptions()
    distance_region: DistanceRegion | None = None

    def settings(self) -> ArchiveSettings:
        """Return what results depend on; see `InspectorSource`."""
        lazy = self._lazy()
        return ArchiveSettings(
            bundle=lazy.manifest.name,
            digest=lazy.digest,
            demonstration=lazy.manifest.demonstration,
            distance_region=self.distance_region,
        )

    def load(self) -> VideoInspector:
        """Load the networks."""
        return self._lazy().loaded

    def _lazy(self) -> LazyInspector:
        return LazyInspector(self.bundle, self.options, self.distance_region)
