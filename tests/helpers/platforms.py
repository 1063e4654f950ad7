"""What only some systems let a test do."""

import os

import pytest

needs_posix = pytest.mark.skipif(
    os.name == "nt", reason="needs signals, named pipes, links, rights or file names that Windows does not have"
)
is_root = hasattr(os, "geteuid") and os.geteuid() == 0
