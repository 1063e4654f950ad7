"""A signal ends the process wherever its handler runs."""

import subprocess
import sys

import pytest

from helpers.platforms import needs_posix

START = """
import os, signal, sys, time
from urbanpipe.exit_signals import end_by_signal
signal.signal(signal.SIGTERM, lambda number, _: end_by_signal(number, 7))
def itself(): os.kill(os.getpid(), signal.SIGTERM)
"""
FINALIZER = """
class Loader:
    def __del__(self): itself(); time.sleep(0)
Loader()
"""
FORK = """
os.register_at_fork(after_in_parent=lambda: (itself(), time.sleep(0)))
if not os.fork(): os._exit(0)
"""
CHILD = """
def lost(*_): raise RuntimeError("a child has ended")
signal.signal(signal.SIGCHLD, lost)
try:
    itself()
    time.sleep(0)
finally:
    if not os.fork(): os._exit(0)
    time.sleep(0.5)
"""


@needs_posix
@pytest.mark.multiprocess
@pytest.mark.parametrize("place", [FINALIZER, FORK, CHILD])
def test_it_is_neither_dropped_nor_replaced(place: str) -> None:
    code = START + place + "time.sleep(20); print('went on')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")
    before = code.replace("end_by_signal(number, 7)", "sys.exit(7)").replace("sleep(20)", "sleep(0)")
    done = subprocess.run([sys.executable, "-c", before], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 7, "sys.exit alone is not enough here"
