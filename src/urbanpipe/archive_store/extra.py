"""Whether the libraries of the extra `archive` are installed."""

from importlib.util import find_spec

from urbanpipe.errors import ArchiveError


def check_extra() -> None:
    """Check that the libraries are there.

    Raises:
        ArchiveError: one is missing.
    """
    for package in ("pyarrow", "obstore", "duckdb"):
        if find_spec(package) is None:
            raise ArchiveError(f"`archive` needs the package {package}; run `pip install 'urbanpipe[archive]'`")
