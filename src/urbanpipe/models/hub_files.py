"""Pretrained weights of timm on the Hugging Face Hub: whether the cache has them, and whether the hub answers."""

import timm
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import FileMetadataError, HfHubHTTPError, OfflineModeIsEnabled

_FILES = ("model.safetensors", "pytorch_model.bin")
_TIMEOUT_SECONDS = 10


def is_cached(backbone: str) -> bool:
    """Return whether the hub's cache on this machine has the weights of a timm network."""
    repository = _repository(backbone)
    return any(isinstance(try_to_load_from_cache(repository, name), str) for name in _FILES) if repository else False


def check_connection(backbone: str) -> None:
    """Ask the hub once for the weights of a timm network that the cache lacks; its client would ask twelve times.

    Raises:
        ConnectionError: the hub does not answer.
    """
    repository = _repository(backbone)
    if not repository or is_cached(backbone):
        return
    try:
        get_hf_file_metadata(hf_hub_url(repository, _FILES[0]), timeout=_TIMEOUT_SECONDS)
    except (HfHubHTTPError, FileMetadataError, OfflineModeIsEnabled):
        return  # the client says what is wrong
    except Exception as error:  # of the HTTP library, which differs between versions of the client
        raise ConnectionError("it does not answer; is there a network?") from error


def _repository(backbone: str) -> str:
    published = timm.get_pretrained_cfg(backbone)
    return ((published.hf_hub_id if published else None) or "").partition("@")[0]
