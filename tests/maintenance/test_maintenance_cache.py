"""`cache show` and `cache clear`: what is kept for later runs."""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from urbanpipe.cli.cache import clear
from urbanpipe.cli.main import app
from urbanpipe.errors import OutputError, UrbanpipeError
from urbanpipe.maintenance.cache import CachedKind, cache_clear, cache_show, clearable, seconds_of
from urbanpipe.maintenance.weight_folders import weight_folders
from urbanpipe.video.cache import FrameCache, _encode, _pack

DAY = 86400.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A frame cache with three entries of frames, one of them 40 days old, and one of features."""
    cache = FrameCache(tmp_path / "frames", 10**7)
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    for number in range(3):
        cache._store(cache._entry(f"video {number}", np.arange(2), (8, 8), "raise"), _pack(_encode(frames, 90)))
    old = min((tmp_path / "frames").glob("??/*.frames"))
    os.utime(old, (time.time() - 40 * DAY,) * 2)
    cache.write(b"features", np.ones(64, np.float32).tobytes())
    return tmp_path / "frames"


def run(*arguments: object) -> tuple[int, str, BaseException | None]:
    ran = CliRunner().invoke(app, ["cache", *map(str, arguments)])
    return ran.exit_code, ran.stdout, ran.exception


def held(folder: Path) -> dict[str, CachedKind]:
    return {found.kind: found for found in cache_show(folder) if found.kind != "weights"}


def test_kinds_have_numbers_sizes_and_ages(folder: Path) -> None:
    kinds = held(folder)
    assert (kinds["frames"].entries, kinds["features"].entries) == (3, 1)
    assert kinds["features"].size_bytes > 256
    assert kinds["frames"].oldest_seconds == pytest.approx(40 * DAY, abs=3600)
    status, text, _ = run("show", "--cache", folder)
    assert status == 0
    assert "unused for up to 40.0 days" in text
    listed = json.loads(run("show", "--cache", folder, "--json")[1])["cache"]
    assert [kind["entries"] for kind in listed[:2]] == [3, 1]


def test_an_empty_cache_is_shown(tmp_path: Path) -> None:
    assert [found.entries for found in held(tmp_path / "absent").values()] == [0, 0]
    assert run("clear", "--cache", tmp_path / "absent", "--yes")[0] == 0
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (("--yes",), (0, 0)),
        (("--yes", "--older-than", "30d"), (2, 1)),
        (("--yes", "--older-than", "6w"), (3, 1)),
        (("--yes", "--kind", "features"), (3, 0)),
        (("--yes", "--kind", "frames"), (0, 1)),
        (("--yes", "--kind", "frames", "--kind", "features"), (0, 0)),
    ],
)
def test_what_is_asked_for_is_removed(options: tuple[str, ...], left: tuple[int, int], folder: Path) -> None:
    (folder / "aa").mkdir(exist_ok=True)
    (folder / "aa" / "of others.txt").write_text("kept")
    status, _, _ = run("clear", "--cache", folder, *options)
    assert status == 0
    assert tuple(found.entries for found in held(folder).values()) == left
    assert (folder / "aa" / "of others.txt").exists()


def test_nothing_is_removed_without_being_asked_for(folder: Path) -> None:
    _, _, error = run("clear", "--cache", folder)
    assert isinstance(error, UrbanpipeError)
    assert "would remove 4 files" in str(error)
    assert "--yes" in str(error)
    assert held(folder)["frames"].entries == 3


def test_what_came_after_the_question_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def confirm(question: str, err: bool) -> bool:
        FrameCache(folder, 10**7).write(b"other features", b"new")
        return "4 files" in question

    monkeypatch.setattr("typer.confirm", confirm)
    monkeypatch.setattr("urbanpipe.cli.cache.sys.stdin", SimpleNamespace(isatty=lambda: True))
    clear(cache=folder, quiet=False, log_file=None)
    assert [found.entries for found in held(folder).values()] == [0, 1]


def test_a_run_goes_on_with_a_cleared_cache_within_its_limit(folder: Path) -> None:
    cache = FrameCache(folder, 10**7)
    assert cache.read(b"features") is not None
    assert len(cache_clear(folder)) == 4
    assert cache.read(b"features") is None
    cache.write(b"features", b"again")
    assert cache.read(b"features") == b"again"
    assert int((folder / "total_bytes").read_text()) == clearable(folder)[0].size_bytes  # the removed ones do not count


@pytest.mark.parametrize("age", ["30", "d", "-3d", "3y", "1e3d", ""])
def test_an_age_that_is_none_is_refused(age: str) -> None:
    with pytest.raises(UrbanpipeError, match="write it as 90m, 12h, 30d or 2w"):
        seconds_of(age)


def test_a_failed_removal_names_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError, match="no permission"):
        cache_clear(folder)


def test_downloaded_weights_are_counted_and_not_cleared(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_CACHE", "HF_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    blob = tmp_path / "cache/huggingface/hub/models--timm--resnet18/blobs/abc"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"weights")
    assert [found.size_bytes for found in cache_show(folder) if found.kind == "weights"] == [7, 0]
    assert ", up to 0 s old" in next(found.line() for found in cache_show(folder) if found.kind == "weights")
    cache_clear(folder)
    assert blob.exists()


def test_weights_are_where_the_libraries_keep_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert weight_folders()[1][0] == Path(torch.hub.get_dir()) / "checkpoints"
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    assert weight_folders()[0][0] == tmp_path / "hf" / "hub"
