"""The verb `hub pull`: download a bundle from a repository of the Hugging Face Hub."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from urbanpipe.errors import BundleError, HubError
from urbanpipe.hub.client import check_repository, hub_address, hub_client, hub_errors
from urbanpipe.hub.contents import SUMS, bundle_files, parse_sums, sha256
from urbanpipe.inference.bundle import MANIFEST, MAX_TEXT_BYTES, check_bundle, read_manifest
from urbanpipe.outputs import check_replaceable, explained, remove, whole_folder
from urbanpipe.progress import track

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MAX_BUNDLE_BYTES = 64 * 2**30
WEIGHTS = (".safetensors", ".onnx")


@dataclass(frozen=True)
class PulledBundle:
    """The result of `hub_pull`.

    Attributes:
        folder: folder of the bundle.
        name: name of the bundle.
        demonstration: whether it is a demonstration, not for real use.
        commit: commit of the repository that it was taken from.
        files: number of its files.
        size_bytes: their size.
    """

    folder: Path
    name: str
    demonstration: bool
    commit: str
    files: int
    size_bytes: int


@dataclass(frozen=True)
class _Snapshot:
    """A repository at one commit.

    Attributes:
        repository: owner/name.
        commit: the commit.
        sizes: bytes of every file, as the Hub states them; None where it does not.
    """

    repository: str
    commit: str
    sizes: Mapping[str, int | None]


def hub_pull(repository: str, *, out: Path, revision: str | None = None) -> PulledBundle:
    """Download a bundle and check it; `out` appears when everything was checked, or not at all.

    All files are taken from one commit. Only files that bundles have are downloaded, each is compared with SHA256SUMS
    of the repository, and the whole with the digests in bundle.toml. Nothing is executed.

    Args:
        repository: owner/name.
        out: folder of the bundle; it must not exist or be empty.
        revision: branch, tag or commit; default: main.

    Raises:
        HubError: there is no such repository, revision or bundle, a checksum is wrong, the bundle is larger than 64 GiB
            or the disk is too small, or the connection failed.
        OutputError: `out` cannot be written.
    """
    check_repository(repository)
    out, api = Path(out), hub_client()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise HubError(f"{out} exists already; give another --out, or delete it")
    check_replaceable(out)
    snapshot = _snapshot(api, repository, revision)
    with whole_folder(out) as folder:
        try:
            _download(api, snapshot, folder)
            manifest = check_bundle(folder)
        except BundleError as error:
            raise HubError(str(error).replace(str(folder), repository)) from error
        size = sum((folder / name).stat().st_size for name in bundle_files(manifest))
    return PulledBundle(
        folder=out,
        name=manifest.name,
        demonstration=manifest.demonstration,
        commit=snapshot.commit,
        files=len(bundle_files(manifest)),
        size_bytes=size,
    )


def _snapshot(api: "HfApi", repository: str, revision: str | None) -> _Snapshot:
    """Ask for the files of a repository.

    Raises:
        HubError: there is no such repository, or it has no bundle.
    """
    with hub_errors(repository):
        info = api.model_info(repository, revision=revision, files_metadata=True)
    sizes = {file.rfilename: file.size for file in info.siblings or ()}
    for name in (MANIFEST, SUMS):
        if name not in sizes:
            raise HubError(f"{repository} has no bundle: it has no {name}; `urbanpipe hub push` uploads one")
    return _Snapshot(repository, str(info.sha), sizes)


def _download(api: "HfApi", snapshot: _Snapshot, folder: Path) -> None:
    """Download all files of the bundle into a folder, and compare each with its checksum."""
    repository = snapshot.repository
    _check_sizes(snapshot, (MANIFEST, SUMS), folder)
    sums = parse_sums(_fetched(api, snapshot, SUMS, folder).read_text(encoding="utf-8", errors="replace"))
    remove(folder / SUMS)
    _check_sum(snapshot, _fetched(api, snapshot, MANIFEST, folder), MANIFEST, sums)
    _, *files = bundle_files(read_manifest(folder))
    if lacking := [name for name in files if name not in snapshot.sizes]:
        raise HubError(f"{repository} lacks {lacking[0]}, which its {MANIFEST} names; push the bundle again")
    _check_sizes(snapshot, files, folder)
    for name in track(files, len(files), f"pull {repository}", "files"):
        _check_sum(snapshot, _fetched(api, snapshot, name, folder), name, sums)
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's notes on what it has downloaded


def _fetched(api: "HfApi", snapshot: _Snapshot, name: str, folder: Path) -> Path:
    """Download one file.

    Raises:
        HubError: the connection failed or ended early.
        OutputError: it cannot be written.
    """
    repository = snapshot.repository
    try:
        with hub_errors(repository):
            api.hf_hub_download(repository, name, revision=snapshot.commit, local_dir=folder)
    except OSError as error:
        if error.errno is None:  # the client's own, for a file that ended early
            raise HubError(f"{repository}: the download of {name} ended early; run the command again") from error
        with explained(folder.parent):
            raise
    return folder / name


def _check_sizes(snapshot: _Snapshot, files: Sequence[str], folder: Path) -> None:
    """Refuse what is larger than a bundle can be or than the disk, or of unknown size."""
    repository, total = snapshot.repository, 0
    for name in files:
        size = snapshot.sizes[name]
        limit = MAX_BUNDLE_BYTES if name.endswith(WEIGHTS) else MAX_TEXT_BYTES
        if size is None:
            raise HubError(f"{repository}: {hub_address()} does not state the size of {name}; check HF_ENDPOINT")
        if not 0 <= size <= limit:
            raise HubError(f"{repository}: {name} has {size} bytes; at most {limit} are accepted")
        total += size
    if total > MAX_BUNDLE_BYTES:
        raise HubError(f"{repository} has {total} bytes; a bundle of at most {MAX_BUNDLE_BYTES} is accepted")
    if total > (free := shutil.disk_usage(folder).free):
        raise HubError(f"{repository} has {total} bytes and the disk of {folder.parent} has {free} left; free some")


def _check_sum(snapshot: _Snapshot, path: Path, name: str, sums: Mapping[str, str]) -> None:
    where = f"{snapshot.repository} at {snapshot.commit[:12]}"
    if name not in sums:
        raise HubError(f"{where}: {SUMS} gives no checksum of {name}, so nothing was kept; push the bundle again")
    if sha256(path) != sums[name]:
        raise HubError(f"{where}: {name} does not have the checksum in {SUMS}, so nothing was kept; pull it again")
