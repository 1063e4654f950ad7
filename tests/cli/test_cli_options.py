"""The options of every verb, default options from a file, and completion in a shell."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner
from typer.testing import Result as Ran

from helpers.platforms import needs_posix
from urbanpipe import api, progress
from urbanpipe.cli import main as main_module
from urbanpipe.cli.logs import log_crash, log_to, quieten, show_logs
from urbanpipe.cli.main import GROUPS, VERBS, app
from urbanpipe.cli.output import complain, show, show_json, warn
from urbanpipe.cli.verb import Result, verb
from urbanpipe.errors import ConfigError, OutputError
from urbanpipe.outputs import write_text

LOG = logging.getLogger("urbanpipe.test")


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No file of default options is found but those of the test, and logs are as they were."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.delenv("URBANPIPE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    yield
    show_logs()


@pytest.fixture
def tiny_app() -> typer.Typer:
    """An application with one verb, which logs, prints, warns and returns a result."""
    tiny = typer.Typer(rich_markup_mode=None)

    @tiny.callback()
    def root() -> None:
        show_logs()

    @tiny.command("measure")
    @verb
    def measure(status: int = 0) -> Result:
        LOG.info("a note")
        warn("a warning")
        show("3 videos")
        return Result({"videos": 3, "mean": float("nan"), "results": Path("a/b.json"), "name": "管é"}, status)

    return tiny


def run(*arguments: object) -> Ran:
    return CliRunner().invoke(app, [*map(str, arguments)])


class TestQuiet:
    def test_notes_and_progress_are_hidden_and_warnings_and_results_are_not(self, tiny_app: typer.Typer) -> None:
        loud, quiet = (CliRunner().invoke(tiny_app, ["measure", *given]) for given in ([], ["--quiet"]))
        assert (loud.stderr, loud.stdout) == ("a note\na warning\n", "3 videos\n")
        assert (quiet.stderr, quiet.stdout) == ("a warning\n", "3 videos\n")

    def test_no_bar_is_drawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        assert progress.draws_bars()
        quieten()
        assert not progress.draws_bars()

    def test_a_bar_shows_names_that_look_like_markup(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(progress, "draws_bars", lambda: True)
        assert list(progress.track([1, 2], 2, "[/x] of [bold]run")) == [1, 2]
        assert "[/x] of [bold]run" in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [("--quiet", "recipes"), ("recipes", "-q")])
    def test_it_stands_before_or_after_the_verb(self, arguments: tuple[str, ...]) -> None:
        assert run(*arguments).exit_code == 0
        assert not progress._bars_shown


class TestLogFile:
    def test_it_has_every_message_with_time_and_level_also_when_quiet(
        self, tiny_app: typer.Typer, tmp_path: Path
    ) -> None:
        for _ in range(2):  # appended
            CliRunner().invoke(tiny_app, ["measure", "--quiet", "--log-file", "run.log"])
        lines = (tmp_path / "run.log").read_text(encoding="utf-8").splitlines()
        assert [line.split(" ", 2)[2] for line in lines] == ["INFO a note", "WARNING a warning"] * 2
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", lines[0])

    def test_an_error_and_a_crash_are_in_it(self, tmp_path: Path) -> None:
        log_to(tmp_path / "run.log")
        complain("urbanpipe: no videos in a\nb")
        try:
            _ = 1 // 0
        except ZeroDivisionError:
            log_crash()
        text = (tmp_path / "run.log").read_text(encoding="utf-8")
        assert "ERROR urbanpipe: no videos in a\\nb\n" in text
        assert "\nZeroDivisionError: " in text

    @pytest.mark.parametrize("error", [OSError(5, "Input/output error", "a.mp4"), KeyError("classes")])
    def test_a_bug_of_a_verb_is_in_it_with_its_traceback(
        self, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> None:
            log_to(tmp_path / "run.log")
            raise error

        monkeypatch.setattr(main_module, "app", fail)
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        with pytest.raises(type(error)):
            main_module.main()
        text = (tmp_path / "run.log").read_text(encoding="utf-8")
        assert "CRITICAL unexpected error\nTraceback " in text
        assert text.count(f"\n{type(error).__name__}: {error}") == 1

    def test_given_twice_it_has_every_line_once(self, tmp_path: Path) -> None:
        log_to(tmp_path / "run.log")
        log_to(tmp_path / "run.log")
        LOG.info("once")
        assert len((tmp_path / "run.log").read_text(encoding="utf-8").splitlines()) == 1

    def test_a_file_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match=r"--log-file .*run\.log cannot be written \(No such file or directory\)"):
            log_to(tmp_path / "absent" / "run.log")

    def test_a_full_disk_ends_the_file_and_not_the_work(self, capsys: pytest.CaptureFixture[str]) -> None:
        if not Path("/dev/full").exists():
            pytest.skip("this system has no /dev/full")
        log_to(Path("/dev/full"))
        LOG.info("first")
        LOG.info("second")
        shown = capsys.readouterr().err
        assert shown.count("the log file /dev/full cannot be written any more") == 1
        assert "second" in shown
        assert "Traceback" not in shown


class TestJson:
    def test_it_is_one_object_and_nothing_else_is_printed(self, tiny_app: typer.Typer) -> None:
        ran = CliRunner().invoke(tiny_app, ["measure", "--json"])
        assert json.loads(ran.stdout) == {"videos": 3, "mean": None, "results": "a/b.json", "name": "管é"}
        assert ran.stderr == "a note\na warning\n"

    def test_scalars_and_arrays_are_numbers(self, capsys: pytest.CaptureFixture[str]) -> None:
        show_json({"count": np.int64(3), "share": np.float32(np.nan), "sizes": np.array([1, 2])})
        assert json.loads(capsys.readouterr().out) == {"count": 3, "share": None, "sizes": [1, 2]}

    def test_the_exit_status_is_that_of_the_text(self, tiny_app: typer.Typer) -> None:
        for given in ([], ["--json"]):
            assert CliRunner().invoke(tiny_app, ["measure", "--status", "3", *given]).exit_code == 3

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
    def test_it_is_read_back_from_any_encoding(self, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
        name = "é管😀\udcff"
        output = TextIOWrapper(BytesIO(), encoding=encoding, errors="backslashreplace")
        monkeypatch.setattr("sys.stdout", output)
        show_json({"name": name})
        assert json.loads(output.buffer.getvalue().decode(encoding)) == {"name": name}

    def test_every_verb_but_the_server_has_it(self) -> None:
        without = [name for name in VERBS if "--json" not in run(name, "--help").stdout]
        assert without == ["review"]

    def test_a_scan_of_an_unreadable_video(self, tmp_path: Path) -> None:
        (tmp_path / "videos").mkdir()
        (tmp_path / "videos" / "a.mp4").write_bytes(b"no video")
        done = run("scan", "videos", "--out", "catalog.csv", "--workers", 1, "--json")
        assert done.exit_code == 3
        found = json.loads(done.stdout)
        assert (found["videos"], found["readable"], found["catalog"]) == (1, 0, "catalog.csv")
        assert [*found["unreadable"]] == ["a.mp4"]

    def test_folds_of_labels(self, tmp_path: Path) -> None:
        labels = {f"v{number}.mp4": [number % 2] for number in range(8)}
        write_text(tmp_path / "labels.json", json.dumps(labels))
        found = json.loads(run("folds", "labels.json", "--out", "folds.csv", "--folds", 2, "--json").stdout)
        assert (found["folds"], found["videos"], found["sizes"]) == ("folds.csv", 8, [4, 4])
        assert found["counts"]["ZC"] == [2, 2]


class TestDefaultOptions:
    def test_they_replace_the_defaults_and_the_command_line_replaces_them(self, tmp_path: Path) -> None:
        write_text(tmp_path / "urbanpipe.toml", '[recipes]\njson = true\nlog-file = "run.log"\n')
        assert "small-mobilenetv2" in json.loads(run("recipes").stdout)
        assert (tmp_path / "run.log").exists()
        assert not (tmp_path / "other.log").exists()
        run("recipes", "--log-file", "other.log")
        assert (tmp_path / "other.log").exists()

    def test_a_required_option_may_be_there(self, tmp_path: Path) -> None:
        write_text(tmp_path / "urbanpipe.toml", '[folds]\nout = "f.csv"\nfolds = 2\ngroup_by = "none"\n')
        write_text(tmp_path / "labels.json", json.dumps({f"v{number}.mp4": [number % 2] for number in range(8)}))
        assert "8 videos" in run("folds", "labels.json").stdout
        assert (tmp_path / "f.csv").exists()

    def test_the_named_file_comes_first_then_the_folder_then_the_user(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user = tmp_path / "no-config" / "urbanpipe" / "urbanpipe.toml"
        files = [user, tmp_path / "urbanpipe.toml", tmp_path / "variable.toml", tmp_path / "option.toml"]
        for file in files:
            write_text(file, f'[recipes]\nlog-file = "{file.stem}-{file.parent.name}.log"\n')
            if file.stem == "variable":
                monkeypatch.setenv("URBANPIPE_CONFIG", str(file))
            given = ["--config", file] if file.stem == "option" else []
            run(*given, "recipes")
            assert (tmp_path / f"{file.stem}-{file.parent.name}.log").exists(), file

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[scna]\nworkers = 1", "scna is not a verb; did you mean scan?"),
            ("[scan]\nlabls = 'x'", "labls in [scan] is not an option of `urbanpipe scan`; did you mean labels?"),
            ("[scan]\nworkers = 'x'", "workers in [scan] is 'x'"),
            ("[scan]\nworkers = 0", "greater than or equal to 1|x>=1"),
            ("[archive.run]\nruntime = 'onx'", "runtime in [archive.run] is 'onx': 'onx' is not one of"),
            ("[archive]\nworkers = 1", "archive.workers is not a verb; [archive] takes a table per verb"),
            ("[export]\npictures = 'no'", "pictures in [export] is 'no'; write true or false"),
            ("[folds]\nfolds = true", "folds in [folds] is True; write one value"),
            ("[folds]\nfolds = [1]", "folds in [folds] is [1]; write one value"),
            ("[fit]\nweights = [['a']]", "weights in [fit] is [['a']]; write a list of values"),
            ("scan = 3", "scan is 3; write a table [scan] with options"),
            ("[scan", "is not TOML"),
        ],
    )
    def test_a_mistake_names_the_file_and_the_key(self, text: str, message: str, tmp_path: Path) -> None:
        write_text(tmp_path / "mine.toml", text)
        error = run("--config", "mine.toml", "recipes").exception
        assert isinstance(error, ConfigError)
        assert str(error).startswith("mine.toml")
        assert any(part in str(error) for part in message.split("|"))
        assert len(str(error).splitlines()) == 1

    def test_a_missing_file_is_named(self) -> None:
        error = run("--config", "absent.toml", "recipes").exception
        assert isinstance(error, ConfigError)
        assert "absent.toml: No such file" in str(error)


class TestHelp:
    def test_the_api_lists_its_names(self) -> None:
        assert dir(api) == sorted(api.__all__)
        assert set(VERBS) < {*dir(api)}
        assert all(any(name.startswith(f"{group}_") for name in dir(api)) for group in GROUPS)

    def test_each_verb_has_a_line_of_80_characters(self) -> None:
        text = run("--help").stdout
        for name, summary in VERBS.items():
            line = next(line for line in text.splitlines() if line.split()[:1] == [name])
            assert line.endswith(summary)
            assert len(line) <= 80

    def test_the_texts_are_plain_where_a_terminal_knows_no_more(self) -> None:
        assert run("scan", "--help").stdout.isascii()


class TestCompletion:
    @pytest.fixture
    def complete(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
        def completed(line: str) -> list[str]:
            words = line.split(" ")
            environment = {
                "_URBANPIPE_COMPLETE": "complete_bash",
                "COMP_WORDS": line,
                "COMP_CWORD": str(len(words) - 1),
            }
            return CliRunner().invoke(app, prog_name="urbanpipe", env=environment).stdout.split()

        return completed

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("urbanpipe sc", ["scan"]),
            ("urbanpipe archive st", ["status"]),
            ("urbanpipe archive run --runtime o", ["onnx", "openvino"]),
            ("urbanpipe train --recipe small-mobilenetv2", ["small-mobilenetv2", "small-mobilenetv2-augmented"]),
            ("urbanpipe recipes small-v", ["small-video"]),
        ],
    )
    def test_verbs_options_and_recipes(
        self, line: str, expected: list[str], complete: Callable[[str], list[str]]
    ) -> None:
        assert complete(line) == expected

    def test_bash_accepts_the_script(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
        ran = run("--show-completion")
        script = ran.stdout
        assert "complete -o default" in script, (ran.exit_code, ran.stderr, ran.exception)
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm", "tensorboard"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])
sys.meta_path.insert(0, Absent())
from urbanpipe.cli.main import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("words", [("train", "c.csv", "--recipe", "small-mobilenetv2", "--out", "out"), ("weights",)])
def test_a_verb_that_needs_torch_names_the_extra(words: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert re.fullmatch(r"urbanpipe: t\w+ is not installed; run `pip install 'urbanpipe\[train\]'`", line)


@pytest.mark.slow
@needs_posix
def test_python_that_ignores_its_utf8_mode_starts_again_once() -> None:
    command = [sys.executable, "-X", "utf8=0", "-m", "urbanpipe.cli.main", "--version"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUTF8"} | {"LC_ALL": "C"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout.split()[:1]) == (0, ["urbanpipe"]), done.stderr


def test_python_starts_again_without_an_output(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(os, "environ", {"PYTHONUTF8": "0"})
    monkeypatch.setattr(os, "execv", lambda *arguments: started.append(arguments))
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    monkeypatch.setattr(sys, "stdout", None)
    for _ in range(2):
        main_module._use_utf8_file_names()
    assert len(started) == (os.name == "posix")


def test_file_addresses_are_paths_in_every_option(tmp_path: Path) -> None:
    given: list[object] = []
    tiny = typer.Typer(rich_markup_mode=None)

    @tiny.command()
    @verb
    def record(videos: list[Path], folds: str = "5", out: Path | None = None, width: int = 0) -> None:
        given.extend([videos, folds, out, width])

    folder, log = tmp_path / "a b", tmp_path / "log.txt"
    command = [folder.as_uri(), "plain", "--folds", (folder / "f.csv").as_uri(), "--out", f"file://localhost{folder}"]
    ran = CliRunner().invoke(tiny, [*command, "--width", "3", "--log-file", log.as_uri()])
    assert ran.exit_code == 0, ran.output
    assert given == [[folder, Path("plain")], str(folder / "f.csv"), folder, 3]
    assert log.is_file()


def test_default_options_may_be_a_file_address(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["--config", (tmp_path / "no file.toml").as_uri(), "recipes"])
    assert isinstance(ran.exception, ConfigError)
    assert f"cannot read the default options {tmp_path / 'no file.toml'}:" in str(ran.exception)
