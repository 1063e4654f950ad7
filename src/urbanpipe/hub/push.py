"""The verb `hub push`: upload a bundle to a repository of the Hugging Face Hub."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from urbanpipe.errors import HubError
from urbanpipe.hub.card import hub_card
from urbanpipe.hub.client import check_repository, hub_client, hub_errors
from urbanpipe.hub.contents import README, SUMS, bundle_files, format_sums
from urbanpipe.inference.bundle import OOD, check_bundle

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class PushedBundle:
    """The result of `hub_push`.

    Attributes:
        repository: owner/name.
        commit: commit of the bundle, to pull exactly this version.
        files: number of files of the bundle.
        size_bytes: their size.
        private: whether the repository is private.
    """

    repository: str
    commit: str
    files: int
    size_bytes: int
    private: bool


def hub_push(
    bundle: Path, repository: str, *, revision: str | None = None, private: bool = False, licence: str | None = None
) -> PushedBundle:
    """Upload a bundle in one commit; files that the repository already has are not sent again.

    The bundle is checked first, and only its own files are sent, with a model card (README.md) and SHA256SUMS.
    Files of a bundle that was there before and that this one lacks are deleted in the same commit.

    Args:
        bundle: folder of the bundle.
        repository: owner/name; it is created if it does not exist.
        revision: branch, which is created if it does not exist; default: main.
        private: create a private repository, and refuse one that is public.
        licence: identifier of the Hub for the licence of the weights, such as `apache-2.0`.

    Raises:
        BundleError: the bundle is missing or damaged.
        HubError: no token, no right to write, a public repository where a private one is wanted, or no connection.
    """
    check_repository(repository)
    bundle, api = Path(bundle), hub_client()
    manifest = check_bundle(bundle)
    files = bundle_files(manifest)
    card = hub_card(bundle, manifest, repository=repository, licence=licence)
    contents: dict[str, Path | bytes] = {name: bundle / name for name in files}
    contents |= {README: card.encode(), SUMS: format_sums(bundle, files).encode()}
    is_private = _repository(api, repository, private)
    if revision is not None:
        with hub_errors(repository):
            api.create_branch(repository, branch=revision, exist_ok=True)
    commit = _commit(api, repository, contents, revision, f"Bundle {manifest.name}")
    size = sum((bundle / name).stat().st_size for name in files)
    return PushedBundle(repository, commit, len(files), size, is_private)


def _repository(api: "HfApi", repository: str, private: bool) -> bool:
    """Create the repository if there is none; return whether it is private."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise HubError(f"{repository}: there is no token to write with; run `hf auth login`, or set HF_TOKEN")
    with hub_errors(repository):
        api.create_repo(repository, private=private or None, exist_ok=True)
        is_private = bool(api.model_info(repository).private)
    if private and not is_private:
        raise HubError(
            f"{repository} exists and is public, so nothing was sent; make it private in its settings, or leave out "
            "--private"
        )
    return is_private


def _commit(
    api: "HfApi", repository: str, contents: dict[str, Path | bytes], revision: str | None, message: str
) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    with hub_errors(repository):
        info = api.model_info(repository, revision=revision)
    before = [file.rfilename for file in info.siblings or ()]
    stale = [name for name in before if name not in contents and (name.startswith("members/") or name == OOD)]
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        *(CommitOperationAdd(name, content) for name, content in contents.items()),
        *(CommitOperationDelete(name) for name in stale),
    ]
    with hub_errors(repository):
        return api.create_commit(repository, operations, commit_message=message, revision=revision).oid
