"""Where a user's caches and settings are, after the XDG Base Directory Specification."""

import os
from pathlib import Path


def cache_home() -> Path | None:
    """Return the folder of a user's caches; None without a home folder."""
    return _folder("XDG_CACHE_HOME", ".cache")


def frames_folder() -> Path | None:
    """Return the folder of the frame cache that a user's runs share; None without a home folder."""
    cache = cache_home()
    return cache and cache / "urbanpipe" / "frames"


def user_config_file() -> Path | None:
    """Return where a user's file of default options may be; None without a home folder."""
    config = _folder("XDG_CONFIG_HOME", ".config")
    return config and config / "urbanpipe" / "urbanpipe.toml"


def home_folder() -> Path | None:
    """Return the user's home folder; None if the system knows none."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def _folder(variable: str, default: str) -> Path | None:
    if given := os.environ.get(variable):
        return Path(given)
    home = home_folder()
    return home and home / default
