"""`ocr`: inspection data from the text on the screen of videos, as proposals, and the region of the distance."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from urbanpipe.contracts.names import short_hash
from urbanpipe.errors import VideoError
from urbanpipe.inputs.new_videos import named_videos
from urbanpipe.inspection.region import region_text
from urbanpipe.inspection.screen_text.preview import preview
from urbanpipe.inspection.screen_text.proposal_table import read_rows_of, row_of, source_text, write_table
from urbanpipe.inspection.screen_text.reader import OcrReader, TextReader
from urbanpipe.inspection.screen_text.screen import Screen, read_screen
from urbanpipe.locks import file_lock
from urbanpipe.outputs import output_folder, whole_file
from urbanpipe.progress import track

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class VideoText:
    """The outcome of `ocr` for one video.

    Attributes:
        name: name of the video among the given ones.
        screen: its text; None if it was not read.
        failure: why it could not be read; empty on success.
        preview: the picture of its text; None if there is none.
    """

    name: str
    screen: Screen | None = None
    failure: str = ""
    preview: Path | None = None

    def lines(self) -> Iterator[str]:
        """Yield the lines to print: the proposals, the distance region, and with a preview the numbered texts."""
        if self.screen is None:
            why = f"cannot be read: {self.failure}" if self.failure else "is in the table already"
            yield f"{self.name}: {why}"
            return
        count = len(self.screen.proposals)
        yield f"{self.name}: {count} proposals" if count != 1 else f"{self.name}: 1 proposal"
        yield from (f"  {one.field} = {one.value or '?'}, {source_text(one)}" for one in self.screen.proposals)
        counter = self.screen.counter
        if counter.region and counter.place:
            yield f"  distance: --distance-region {region_text(counter.region)}, which shows {counter.place.text!r}"
        else:
            yield f"  distance: region not found: {counter.reason}"
        if self.preview:
            yield from _numbered(self.screen)
            yield f"  preview: {self.preview}"


@dataclass
class VideoTexts:
    """The result of `ocr`.

    Attributes:
        out: the table.
        videos: outcomes, in the order in which the videos were read.
    """

    out: Path
    videos: list[VideoText] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Number of videos that were read now."""
        return sum(video.screen is not None for video in self.videos)

    @property
    def before(self) -> int:
        """Number of videos that the table had already."""
        return len(self.videos) - self.read - len(self.failures)

    @property
    def failures(self) -> dict[str, str]:
        """Reasons, by name, of the videos that could not be read."""
        return {video.name: video.failure for video in self.videos if video.failure}


def ocr(
    videos: Sequence[Path],
    *,
    out: Path,
    previews: Path | None = None,
    reader: TextReader | None = None,
    on_video: Callable[[VideoText], None] = lambda _: None,
) -> VideoTexts:
    """Read the text on the screen of videos, and write what it says of the inspections as proposals.

    The table has one row per video. Its rows are not used as inspection data until a person has written yes in the
    column `checked`. Videos that the table already has are not read again, so that the same call resumes an interrupted
    one and keeps what people wrote. A video that cannot be read is reported and skipped.

    Args:
        videos: files and folders.
        out: the table (CSV) to write or to extend.
        previews: folder for a picture per video with the numbered places of its text; None writes none.
        reader: what reads text; None takes that of the extra `ocr`.
        on_video: called with each video as soon as it is done.

    Raises:
        CatalogError: there is no video.
        InspectionError: the extra is not installed, or `out` is another table.
        OutputError: results cannot be written.
    """
    reader, out = reader or OcrReader(), Path(out)
    paths, made = named_videos(videos), VideoTexts(out)
    output_folder(out.parent)
    with file_lock(out.with_name(f".{out.name}.lock"), busy=out):
        rows = read_rows_of(out)
        for name, path in track(paths.items(), len(paths), "read"):
            video = VideoText(name) if name in rows else _read(name, path, reader, previews)
            if video.screen:
                rows[name] = row_of(name, video.screen)
                write_table(out, rows)
            made.videos.append(video)
            on_video(video)
        write_table(out, rows)
    return made


def _read(name: str, path: Path, reader: TextReader, previews: Path | None) -> VideoText:
    try:
        screen = read_screen(path, reader)
    except VideoError as error:
        return VideoText(name, failure=error.reason)
    except Exception as error:  # a bug, or a failure of the recognition: it is shown, and the other videos are read
        log.exception("%s: reading its text failed", name)
        return VideoText(name, failure=" ".join(f"{type(error).__name__}: {error}".split()))
    picture = preview(screen) if previews else None
    if not previews or picture is None:
        return VideoText(name, screen)
    file = Path(previews) / f"{path.stem[:80]}-{short_hash(name)}.png"
    with whole_file(file, "wb") as opened:
        opened.write(picture)
    return VideoText(name, screen, preview=file)


def _numbered(screen: Screen) -> Iterator[str]:
    """Yield the places of text as in the preview, each with its region as `--distance-region` takes it."""
    for number, place in enumerate(screen.places, 1):
        seconds = place.readings[0].seconds
        yield f"  {number:3} {region_text(place.box)} {place.text!r}, first at {seconds:.1f} s"
