"""The client of the Hugging Face Hub, whose errors become one line without a secret."""

import json
import logging
import os
import re
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from urbanpipe.errors import HubError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_STATUSES = {
    401: "the token is not valid; run `hf auth login`, or set HF_TOKEN",
    403: "the token does not allow this; make one with write access to this repository",
    404: "there is no such repository or revision, or this token may not see it",
    409: "it was changed at the same time; run the same command again",
    413: "the Hub refuses files of this size",
    429: "the Hub limits the rate of requests; try again in some minutes",
}


def hub_client() -> "HfApi":
    """Return a client; it takes its token from HF_TOKEN or `hf auth login`, as every tool for the Hub does.

    Raises:
        HubError: huggingface_hub is not installed, or the settings of this machine's proxy are not valid.
    """
    if find_spec("huggingface_hub") is None:
        raise HubError("`hub` needs the package huggingface_hub; run `pip install 'urbanpipe[hub]'`")
    from huggingface_hub import HfApi, get_session

    try:
        get_session()
    except Exception:  # an address of any form, which may contain a password
        raise HubError("the address of the proxy is not valid; check HTTPS_PROXY and HTTP_PROXY") from None
    return HfApi(library_name="urbanpipe")


def check_repository(repository: str) -> None:
    """Check the form of a repository's name.

    Raises:
        HubError: it is not owner/name.
    """
    if not _REPOSITORY.fullmatch(repository) or ".." in repository or "--" in repository:
        raise HubError(f"the repository is {repository!r}; expected OWNER/NAME, such as city-of-example/sewer-bundle")


@contextmanager
def hub_errors(repository: str) -> Iterator[None]:
    """Turn what the client raises in the block into a HubError, and keep its warnings and progress bars to itself.

    The block contains calls of the client only, as some of these errors would be bugs elsewhere.

    Raises:
        HubError: one line that names the repository and the cause.
    """
    from huggingface_hub import errors
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    logger, shown = logging.getLogger("huggingface_hub"), not are_progress_bars_disabled()
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (errors.HfHubHTTPError, errors.HTTPError, errors.EntryNotFoundError) as error:  # type: ignore[attr-defined]
        raise HubError(f"{repository}: {_reason(error)}") from error
    except (errors.OfflineModeIsEnabled, errors.LocalTokenNotFoundError, errors.FileMetadataError) as error:
        raise HubError(f"{repository}: {_reason(error)}") from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise HubError(f"{repository}: {hub_address()} does not answer as a Hub; check HF_ENDPOINT") from error
    except ValueError as error:  # refused before or after a request, with the server's words
        raise HubError(f"{repository}: {_public(str(error))}") from error
    finally:
        logger.setLevel(level)
        if shown:
            enable_progress_bars()


def _reason(error: Exception) -> str:
    """Return what went wrong and what would be right."""
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # the client has also looked for the file in its cache
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so nothing was requested; unset it"
    if isinstance(error, errors.LocalTokenNotFoundError):
        return "there is no token; run `hf auth login`, or set HF_TOKEN"
    if isinstance(error, errors.GatedRepoError):
        return "the repository is gated; accept its conditions in a browser, then run `hf auth login` or set HF_TOKEN"
    if isinstance(error, errors.RevisionNotFoundError):
        return "the repository has no such revision; give a branch, a tag or a commit"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            "there is no such repository, or it is private; check its name, run `hf auth login` or set HF_TOKEN to a "
            "token that may read it"
        )
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        return _STATUSES.get(status, f"{hub_address()} answered with status {status}; try again later")
    return _no_connection(error)


def _no_connection(error: Exception) -> str:
    proxies = {name for name in urllib.request.getproxies() if name in ("http", "https", "all")}
    through = f" through the proxy that {' or '.join(sorted(_proxy_variables(proxies)))} sets" if proxies else ""
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
    if kind in ("local entry not found error", "connect error"):
        kind = "no answer"
    return f"the connection to {hub_address()}{through} failed ({kind}); check the network and run the command again"


def _proxy_variables(proxies: set[str]) -> Iterator[str]:
    for name in proxies:
        yield next((key for key in os.environ if key.lower() == f"{name}_proxy"), f"{name}_proxy")


def hub_address() -> str:
    """Return the address of the Hub, without a password."""
    from huggingface_hub import constants

    return _public(constants.ENDPOINT)


def _public(text: str) -> str:
    """Return text of a server or library on one line, without tokens and passwords."""
    from huggingface_hub import get_token

    if token := get_token():
        text = text.replace(token, "***")
    text = re.sub(r"//[^/@\s]+@", "//", re.sub(r"\bhf_\w+", "***", text))
    return " ".join(text.split())[:300]
