"""Closes the servers that a test started."""

from collections.abc import Iterator

import pytest

from helpers.review_material import close_servers


@pytest.fixture(autouse=True)
def _closed_servers() -> Iterator[None]:
    yield
    close_servers()
