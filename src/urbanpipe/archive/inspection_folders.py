"""The inspections in an output folder: which video has which folder, shared by several processes."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from urbanpipe.catalog.catalog_file import printable
from urbanpipe.contracts.distinct_names import distinct_names
from urbanpipe.contracts.file_names import folder_name
from urbanpipe.contracts.findings import FINDINGS, Inspection, inspection_folders, read_inspection
from urbanpipe.contracts.names import canonical_name, short_hash
from urbanpipe.errors import BusyError, InspectionError
from urbanpipe.inspection.placing import relative_path
from urbanpipe.locks import file_lock
from urbanpipe.outputs import explained, remove_quietly
from urbanpipe.report.html import report_language, write_report

LOCKS = ".locks"  # a lock per video, so that several processes can share a folder


class InspectionFolders:
    """The inspections in an output folder, all by one bundle.

    Args:
        out: the output folder.
        digest: digest of the bundle.
        bundle: name of the bundle, for messages.

    Raises:
        InspectionError: the folder holds inspections by another bundle.
    """

    def __init__(self, out: Path, digest: str, bundle: str) -> None:
        self.out, self._digest, self._bundle = out, digest, bundle
        self._by_path: dict[str, Path] = {}
        self._by_digest: dict[str, dict[Path, str]] = {}
        self._read: dict[Path, tuple[tuple[int, int], Inspection]] = {}
        self._has_own = False
        for folder in self.all():
            self._update(folder)
        self._refuse_others()

    def all(self) -> list[Path]:
        """Return the folders of all inspections, ordered by name."""
        try:
            return inspection_folders(self.out)
        except InspectionError:
            return []

    def add(self, folder: Path, inspection: Inspection) -> None:
        """Register an inspection that was written to a folder."""
        self.forget(folder)
        video = inspection.video
        self._read[folder] = _version(folder), inspection.model_copy(update={"timeline": None})
        self._by_path[_place(video.path, video.relative)] = folder
        if video.relative:  # else its path may not be that of a file, and nobody knows whether the file was moved
            self._by_digest.setdefault(video.digest, {})[folder] = video.path

    def forget(self, folder: Path) -> None:
        """Unregister the inspection in a folder, if there is one."""
        if known := self._read.pop(folder, None):
            video = known[1].video
            if self._by_path.get(place := _place(video.path, video.relative)) == folder:
                del self._by_path[place]
            self._by_digest.get(video.digest, {}).pop(folder, None)

    def read(self, folder: Path) -> Inspection:
        """Return the inspection in a folder, without its timeline; the file is read again only if it has changed.

        Raises:
            InspectionError: the inspection is missing or damaged.
        """
        known = self._read.get(folder)
        if known is None or known[0] != _version(folder):
            self.forget(folder)
            self.add(folder, read_inspection(folder))
        return self._read[folder][1]

    def inspected(self, path: Path) -> Path | None:
        """Return the folder with the inspection of the file at a path, whatever its content is now; None without one.

        Args:
            path: the video file.
        """
        real = path.resolve()
        return self._by_path.get(_place(printable(str(real)), relative_path(real, self.out.resolve())))

    def of(self, name: str, path: Path, digest: str) -> Path:
        """Return the folder of a video's existing or future inspection.

        A file keeps its folder, even if other files have the same name by now; so does a file that was moved. A folder
        with the inspection of another file is left alone, whether that file still exists or not.

        Args:
            name: name of the video among the given ones.
            path: the video file.
            digest: digest of the file.
        """
        if own := self.inspected(path):
            return own
        if moved := [folder for folder, old in self._by_digest.get(digest, {}).items() if not _is_file(Path(old))]:
            return moved[0]
        plain = self.out / folder_name(name)
        return self.out / f"{folder_name(name)}-{short_hash(str(path.resolve()))}" if plain in self._read else plain

    @contextmanager
    def locked(self, name: str, path: Path, digest: str, wait: bool = False) -> Iterator[Path]:
        """Lock the folder of a video while the block runs, and yield it.

        Another process may have put the inspection of another file of the same name there in the meantime; the video
        then gets a folder of its own.

        Args:
            name: name of the video among the given ones.
            path: the video file.
            digest: digest of the file.
            wait: whether to wait for another process to release the lock, instead of raising.

        Raises:
            BusyError: another process is inspecting the video, and `wait` is false.
            OutputError: the folder of locks cannot be written to.
        """
        while True:
            folder = self.of(name, path, digest)
            with self._lock(folder, wait):
                self._update(folder)
                if self.of(name, path, digest) == folder:
                    yield folder
                    return

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Refuse to write beside inspections by another bundle that came since this process started.

        The first inspection of a process is written while no other process can write its first one.

        Raises:
            InspectionError: the folder holds inspections by another bundle.
        """
        if self._has_own:
            yield
            return
        with file_lock(self.out / ".lock", busy=self.out, wait=True):
            for folder in self.all():
                self._update(folder)
            self._refuse_others()
            yield
            self._has_own = True

    @contextmanager
    def started(self, folder: Path) -> Iterator[bool]:
        """Mark a locked folder while the block runs; the mark stays if this process dies in it.

        Yields:
            Whether the last process that worked in the folder died; the next call may try again.
        """
        mark = self.out / LOCKS / f"{folder.name}.started"
        has_died = mark.exists()
        with explained(mark):
            mark.touch()
        try:
            yield has_died
        finally:
            remove_quietly(mark)

    def name_reports(self) -> None:
        """Make the reports of videos with the same file name show the name that the index gives each of them.

        The report of a video that another process is inspecting is left to it.

        Raises:
            OutputError: a report cannot be written.
        """
        folders = [folder for folder in self.all() if folder in self._read]
        videos = [self._read[folder][1].video for folder in folders]
        for folder, video, name in zip(folders, videos, distinct_names(videos, folders), strict=True):
            if name == canonical_name(video.name) or (language := report_language(folder, name)) is None:
                continue
            with suppress(BusyError, InspectionError), self._lock(folder, wait=False):
                write_report(read_inspection(folder), folder, language, name)

    @contextmanager
    def _lock(self, folder: Path, wait: bool) -> Iterator[None]:
        with explained(locks := self.out / LOCKS):
            locks.mkdir(exist_ok=True)
        with file_lock(locks / f"{folder.name}.lock", busy=folder, wait=wait):
            yield

    def _update(self, folder: Path) -> None:
        """Register what a folder holds now, if that is a whole inspection."""
        with suppress(InspectionError):
            self.read(folder)

    def _refuse_others(self) -> None:
        """Refuse a folder with inspections by another bundle and none by this one; edited ones are made again."""
        bundles = [inspection.bundle for _, inspection in self._read.values()]
        if bundles and all(bundle.digest != self._digest for bundle in bundles):
            raise InspectionError(
                f"{self.out} holds inspections by another bundle ({bundles[0].name}, {bundles[0].taxonomy}), not by "
                f"{self._bundle}; give another --out"
            )


def _version(folder: Path) -> tuple[int, int]:
    """Return what changes with the findings of a folder: time in nanoseconds and inode; zeros where there are none."""
    try:
        stat = (folder / FINDINGS).stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_ino


def _place(path: str, relative: str) -> str:
    """Return what distinguishes the files of two inspections.

    A path that is not valid text is stored with its bytes written out, and without a relative path; another file may
    have just that name.
    """
    return path if relative else f"{path}\0"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # for example an unavailable network share: the file may exist
        return True
