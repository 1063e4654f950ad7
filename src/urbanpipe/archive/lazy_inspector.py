"""An inspector whose networks are loaded for the first video that needs them."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from urbanpipe.contracts.findings import Inspection
from urbanpipe.inference.bundle import DEMONSTRATION, MANIFEST, read_manifest
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inspection.region import AUTO, DistanceRegion
from urbanpipe.video.probe import digest

if TYPE_CHECKING:
    from urbanpipe.inspection.inspector import Inspector


class LazyInspector:
    """A bundle of which only the manifest is read until a video must be inspected.

    Args:
        bundle: folder of the bundle; None takes the demonstration bundle of the package.
        options: device, batch size and runtime.
        distance_region: left, top, width and height, as shares of the picture, of the on-screen distance;
            `auto` looks for it in each video.

    Attributes:
        manifest: content of `bundle.toml`.
        digest: digest of the manifest, and thereby of all files.

    Raises:
        BundleError: there is no bundle, or its format is unknown to this version.
    """

    def __init__(self, bundle: Path | None, options: InferenceOptions, distance_region: DistanceRegion | None) -> None:
        self._folder, self._options, self._region = Path(bundle or DEMONSTRATION), options, distance_region
        self.manifest = read_manifest(self._folder)
        self.digest = digest(self._folder / MANIFEST)

    @cached_property
    def loaded(self) -> "Inspector":
        """The inspector with its networks.

        Raises:
            BundleError: the bundle is damaged or of another kind.
            InspectionError: the distance is requested but the extra `ocr` is not installed, or the batch size is below
                1.
        """
        from urbanpipe.inspection.inspector import Inspector  # slow to import

        options = self._options
        return Inspector.load(
            self._folder,
            device=options.device,
            batch_size=options.batch_size,
            distance_region=self._region,
            runtime=options.runtime,
            decoders=options.decoders,
        )

    def has_made(self, inspection: Inspection, content: str) -> bool:
        """Return whether an inspection is of this content, by this bundle and with this region.

        Args:
            inspection: the inspection.
            content: digest of the video.
        """
        known: DistanceRegion | None = AUTO if inspection.distance_region_search else inspection.distance_region
        same = inspection.bundle.digest == self.digest and known == self._region
        return same and inspection.video.digest == content
