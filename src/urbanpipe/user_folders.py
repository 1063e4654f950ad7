"""Where a user's caches and settings are, after the XDG Base Directory Specification."""

import os
from pathlib import Path


def frames_folder() -> Path | None:
    """Return the folder of the frame cache that a user's runs share; None without a home folder."""
    cache = _folder("XDG_CACHE_HOME", ".cache")
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
