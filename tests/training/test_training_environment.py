import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

import urbanpipe
from helpers.platforms import needs_posix
from urbanpipe import __version__
from urbanpipe.training import environment as room
from urbanpipe.training.environment import commit_of, environment, processor


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a package `kept` and, untracked, a package `installed`."""
    if not shutil.which("git"):
        pytest.skip("no git here")
    for name in ("kept", "installed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    who = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "kept"], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def head(folder: Path) -> str:
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_checkout_knows_its_commit_and_whether_it_was_changed(repository: Path) -> None:
    commit_of.cache_clear()
    commit = head(repository)[:12]
    assert commit_of(repository / "kept") == commit
    (repository / "kept" / "__init__.py").write_text("changed = True\n")
    commit_of.cache_clear()
    assert commit_of(repository / "kept") == f"{commit}-dirty"


def test_a_package_that_is_installed_inside_another_repository_is_not_of_its_commit(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        def __init__(self, origin: str | None) -> None:
            self.origin = origin

        def read_text(self, _: str) -> str | None:
            return self.origin

    for origin, said in (
        (None, None),
        ('{"dir_info": {"editable": true}}', None),
        ('{"vcs_info": {"vcs": "git", "commit_id": "0123456789abcdef"}}', "0123456789ab"),
        ("{", None),
    ):
        commit_of.cache_clear()
        monkeypatch.setattr(room, "distribution", lambda _, origin=origin: Installed(origin))
        assert commit_of(repository / "installed") == said


def test_the_processor_is_named(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A Processor @ 2 GHz\n")
    assert processor(tmp_path / "cpuinfo") == "A Processor @ 2 GHz"
    (tmp_path / "other").write_text("Features: none\n")
    assert processor(tmp_path / "other") is None


@needs_posix
def test_everything_is_said() -> None:
    said = environment()
    assert said["urbanpipe"] == __version__
    assert said["commit"] == commit_of(Path(urbanpipe.__file__).parent)
    assert said["machine"]["processor"] == processor(Path("/proc/cpuinfo"))  # type: ignore[index]
    assert said["packages"]["timm"] == version("timm")  # type: ignore[index]
