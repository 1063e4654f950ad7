"""The examples in docstrings say what the code does."""

import doctest
import importlib
from pathlib import Path

import pytest

import urbanpipe

OPTIONAL = {"lightly": "pretrain", "rapidocr_onnxruntime": "ocr"}  # packages, and the extras that install them
ROOT = Path(str(urbanpipe.__file__)).parent
MODULES = sorted(
    ".".join(("urbanpipe", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        pytest.skip(f"{error.name} is not installed; it comes with urbanpipe[{OPTIONAL[error.name]}]")
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_examples_are_found() -> None:
    assert {"urbanpipe.evaluation.average_precision", "urbanpipe.video.sampling"} <= set(MODULES)
