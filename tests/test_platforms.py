"""What the package uses exists on Windows and macOS; neither is at hand, so what they lack is taken away."""

import ast
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import urbanpipe
from helpers.no_posix.absent_on_windows import MODULES, NAMES
from helpers.noisy_videos import noisy_video
from urbanpipe.errors import OutputError
from urbanpipe.inputs.loading import SampleLoader, _collate_shared, _share
from urbanpipe.methods.recipe import load_recipe
from urbanpipe.outputs import whole_folder
from urbanpipe.platform_support import is_broken_pipe, loader_start_method
from urbanpipe.video.decoder_limits import MEMORY_EXIT, TIME_EXIT
from urbanpipe.video.decoder_messages import TOO_MUCH_MEMORY, send
from urbanpipe.video.decoder_process import _reason

PACKAGE = Path(urbanpipe.__file__).parent
NO_POSIX = Path(__file__).parent / "helpers" / "no_posix"

RUN = """
import importlib, os, pkgutil, sys
from pathlib import Path
import urbanpipe
from urbanpipe import platform_support
from urbanpipe.api import export, folds, inspect, scan

assert not hasattr(os, "fork"), "sitecustomize was not imported"
videos, out = Path(sys.argv[1]), Path(sys.argv[2])
replace, refused = os.replace, set()

def busy_at_first(source, target, **options):
    # each result once, as Windows does while a virus scanner has the earlier file open
    if Path(target).is_relative_to(out) and str(target) not in refused:
        refused.add(str(target))
        raise PermissionError(13, "in use by another program", str(target))
    return replace(source, target, **options)

os.replace, platform_support.IS_WINDOWS = busy_at_first, True
catalog = scan(videos, out=out / "catalog.csv", labels=out / "labels.json", workers=1)
split = folds(out / "catalog.csv", out=out / "folds.csv", folds=2)
made = inspect([videos], out=out / "inspected")
table = export(out / "inspected", out=out / "table.csv", to="cjj181")
print([video.status for video in catalog.videos], len(made.videos), made.failures)
results = {"catalog.csv", "folds.csv", "table.csv", "findings.json", "index.html"}
print(sorted(results & {Path(path).name for path in refused}))
names = [found.name for found in pkgutil.walk_packages(urbanpipe.__path__, "urbanpipe.")]
for name in names:
    importlib.import_module(name)
print(len(names) > 300)
"""


def without_posix(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run Python without what Windows lacks; so do the processes that it starts."""
    search = os.pathsep.join([str(NO_POSIX), str(PACKAGE.parent)])
    environment = os.environ | {"PYTHONPATH": search, "USERNAME": "someone", "PYTHONWARNDEFAULTENCODING": "1"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.slow
@pytest.mark.multiprocess
def test_the_package_works_without_what_windows_lacks(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for number, name in enumerate(("a.mp4", "con.mp4")):
        noisy_video(tmp_path / "videos" / name, np.random.default_rng(number), colour=False)
    (tmp_path / "labels.json").write_text('{"a.mp4": [1], "con.mp4": [0]}', encoding="utf-8")
    done = without_posix("-c", RUN, tmp_path / "videos", tmp_path)
    replaced = "['catalog.csv', 'findings.json', 'folds.csv', 'index.html', 'table.csv']"
    assert done.stdout.splitlines()[-3:] == ["['ok', 'ok'] 2 {}", replaced, "True"], done.stderr[-3000:]
    assert len((tmp_path / "folds.csv").read_text(encoding="utf-8").split()) == 3
    assert (tmp_path / "table.csv").stat().st_size > 100
    folders = {path.name for path in (tmp_path / "inspected").iterdir() if path.is_dir()}
    assert {name.split("-")[0] for name in folders} >= {"a.mp4", "_con.mp4"}


@pytest.mark.slow
def test_what_not_all_systems_have_is_imported_in_one_module_and_asked_for_elsewhere() -> None:
    rare = {"os": NAMES["os"] | {"register_at_fork"}, "signal": NAMES["signal"] | {"SIGKILL"}}
    imports, uses = set(), set()
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {node.module} if isinstance(node, ast.ImportFrom) else {one.name for one in node.names}
                imports |= {path.name} if names & MODULES else set()
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module, name = node.value.id, node.attr
                if name in rare.get(module, ()) and f'hasattr({module}, "{name}")' not in text:
                    uses.add(f"{path}: {module}.{name}")
    assert imports == {"platform_support.py"}
    assert not uses


LIMITS = "import sys, time; from urbanpipe.video.decoder_limits import ProcessLimits; limits = ProcessLimits({}); {}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (LIMITS.format(1, "time.sleep(60)"), MEMORY_EXIT),
        (LIMITS.format(1 << 40, "limits.end_in(0.1); time.sleep(60)"), TIME_EXIT),
        (LIMITS.format(1 << 40, "limits.end_in(0.4); limits.end_in(0); time.sleep(0.8); sys.exit(5)"), 5),
    ],
    ids=["memory", "time", "cancelled"],
)
def test_a_decoder_process_limits_itself_where_the_system_does_not(code: str, expected: int) -> None:
    done = without_posix("-c", code)
    assert done.returncode == expected, done.stderr


def test_a_bundle_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, replace = tmp_path / "bundle", os.replace
    bundle.mkdir()
    (bundle / "bundle.toml").touch()

    def refused(source: Path, target: Path) -> None:
        if Path(source).name == ".bundle.new":
            raise PermissionError(13, "another program has a file in it open")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refused)
    monkeypatch.setattr("urbanpipe.platform_support.time.sleep", lambda _: None)
    with pytest.raises(OutputError, match="another program has it open"), whole_folder(bundle) as fresh:
        (fresh / "new").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["bundle", "bundle/bundle.toml"]


@pytest.mark.parametrize("path", [Path(), Path(".."), Path("/")])
def test_the_working_folder_is_not_replaced(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that is in it would go on in a folder that is deleted."""
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(OutputError, match="working folder is in it and cannot be replaced") as caught,
        whole_folder(path),
    ):
        raise AssertionError
    assert str(caught.value).startswith(f"cannot write {path}: ")
    assert not any(tmp_path.iterdir())


def test_a_folder_may_be_named_by_way_of_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with whole_folder(Path("../bundle/.")) as fresh:
        (fresh / "new").touch()
    assert (tmp_path / "bundle" / "new").exists()


def test_reasons_of_ended_decoders() -> None:
    assert _reason(MEMORY_EXIT) == TOO_MUCH_MEMORY == "reading it needs more than 6 GiB of memory"
    assert _reason(0xC0000005) == "reading it crashed the decoder (exit 0xc0000005)"
    assert _reason(-11) == "reading it crashed the decoder (SIGSEGV)"


def test_windows_says_that_an_argument_is_invalid_when_a_pipe_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, data: bytes) -> int:
            raise OSError(22, "Invalid argument")

    with pytest.raises(OSError, match="Invalid argument"):
        send(Closed(), b"V", b"content")  # type: ignore[arg-type]
    assert not is_broken_pipe(OSError(22, "Invalid argument"))
    monkeypatch.setattr("urbanpipe.platform_support.IS_WINDOWS", True)
    with pytest.raises(BrokenPipeError):
        send(Closed(), b"V", b"content")  # type: ignore[arg-type]
    assert not is_broken_pipe(OSError(22, "Invalid argument", "a?.mp4"))


def test_loading_processes_are_forked_only_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loader_start_method() == ("fork" if sys.platform == "linux" else "spawn")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert loader_start_method() == "spawn"


def test_what_loading_processes_get_can_be_sent_to_a_new_process() -> None:
    view = load_recipe("small-mobilenetv2").view
    loader = SampleLoader([Path("a.mp4")], view, 4, workers=0)
    for value in (loader._loader.dataset, _share, _collate_shared):
        assert type(pickle.loads(pickle.dumps(value))) is type(value)
