"""The allocator keeps the memory of large tensors, unless the environment has settings of its own."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, json, resource, sys
from urbanpipe.models.allocator import keep_freed_memory
kept = keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
size = 64 * 2**20
def once():
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)
once()
before = faults()
for _ in range(4):
    once()
print(json.dumps([kept, faults() - before]))
"""
PAGES = 4 * 64 * 2**20 // 4096  # of four blocks that are mapped anew


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
@pytest.mark.parametrize(("setting", "expected"), [({}, True), ({"MALLOC_ARENA_MAX": "2"}, False)])
def test_a_block_that_was_freed_is_not_mapped_anew(setting: dict[str, str], expected: bool) -> None:
    command = [sys.executable, "-c", SCRIPT]
    kept, faults = json.loads(subprocess.run(command, env=setting, capture_output=True, check=True).stdout)
    assert kept == expected
    assert (faults < PAGES / 10) == expected
