import errno
import json
import logging
import os
import signal
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import urbanpipe
from helpers.platforms import needs_posix
from urbanpipe.cli.logs import show_logs
from urbanpipe.cli.main import main
from urbanpipe.cli.tables import new_table, print_table
from urbanpipe.errors import OutputError
from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.outputs import (
    is_out_of_space,
    output_folder,
    plain_text,
    remove,
    remove_quietly,
    whole_file,
    write_csv,
    write_json,
    write_text,
)
from urbanpipe.video.cache import FrameCache


def test_results_are_written_with_the_usual_rights(tmp_path: Path) -> None:
    write_text(tmp_path / "deep" / "名.txt", "größe\n")
    assert (tmp_path / "deep" / "名.txt").read_bytes() == "größe\n".encode()
    (tmp_path / "usual").touch()
    assert (tmp_path / "deep" / "名.txt").stat().st_mode == (tmp_path / "usual").stat().st_mode
    write_csv(tmp_path / "t.csv", ["a", "b"], [["x,y", 1]])
    assert (tmp_path / "t.csv").read_bytes() == b'a,b\n"x,y",1\n'
    write_json(tmp_path / "t.json", {"名": 1})
    assert json.loads((tmp_path / "t.json").read_text(encoding="utf-8")) == {"名": 1}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited on Windows, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr("urbanpipe.platform_support.IS_WINDOWS", True)
    monkeypatch.setattr("urbanpipe.platform_support.time.sleep", waited.append)
    return waited


def refuse(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let replacing fail some times, as on Windows while another program has the file open."""
    left, replace = [times], os.replace

    def refused(source: Path, target: Path) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise PermissionError(errno.EACCES, "The process cannot access the file", str(source), None, str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refused)


@pytest.mark.parametrize("times", [1, 7])
def test_a_file_that_another_program_has_open_is_tried_again(
    times: int, pauses: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "r.txt", "first")
    refuse(monkeypatch, times)
    write_text(tmp_path / "r.txt", "second")
    assert (tmp_path / "r.txt").read_text(encoding="utf-8") == "second"
    assert len(pauses) == times
    assert sum(pauses) < 2


def test_a_file_that_another_program_keeps_open_is_one_clear_line(
    pauses: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "r.txt", "first")
    refuse(monkeypatch, 1000)
    with pytest.raises(OutputError, match=r"r\.txt: another program has it open, or it is write-protected") as error:
        write_text(tmp_path / "r.txt", "second")
    assert "\n" not in str(error.value)
    assert 1 < sum(pauses) < 2
    assert not is_out_of_space(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["r.txt"]
    assert (tmp_path / "r.txt").read_text(encoding="utf-8") == "first"


def test_an_open_file_that_must_not_stay_is_tried_again_and_then_one_clear_line(
    pauses: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, unlink, left = tmp_path / "r.txt", os.unlink, [1]
    path.touch()

    def refused(*arguments: Any, **keywords: Any) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise PermissionError(errno.EACCES, "The process cannot access the file", str(path))
        unlink(*arguments, **keywords)

    monkeypatch.setattr(os, "unlink", refused)
    remove(path)
    assert not path.exists()
    assert len(pauses) == 1
    remove(path)
    path.touch()
    left[0] = 1000
    with pytest.raises(OutputError, match=r"cannot remove .*r\.txt: The process cannot access the file; remove it by"):
        remove(path)
    remove_quietly(path)
    assert path.exists()


def test_results_are_removed_in_one_module() -> None:
    """Elsewhere it would be a traceback on Windows. Caches leave what is in use; archives try again themselves."""
    caches = {"video/cache.py", "review/media/proxies.py"}
    package = Path(urbanpipe.__file__).parent
    texts = {path.relative_to(package).as_posix(): path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    bare = {name for name, text in texts.items() if ".unlink(" in text}
    assert bare == caches | {"outputs.py", "archive_store/folder_storage.py"}


def test_missing_rights_are_reported_at_once_where_open_files_can_be_replaced(
    pauses: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urbanpipe.platform_support.IS_WINDOWS", False)
    refuse(monkeypatch, 1)
    with pytest.raises(OutputError, match="write-protected"):
        write_text(tmp_path / "r.txt", "text")
    assert not pauses


def test_a_cache_that_another_program_keeps_open_is_no_error(
    pauses: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = FrameCache(tmp_path, 10_000)
    refuse(monkeypatch, 3)
    cache.write(b"key", b"content")
    assert cache.read(b"key") == b"content"
    refuse(monkeypatch, 1000)
    cache.write(b"other", b"content")
    assert cache.read(b"other") is None
    assert "cannot be written" in caplog.text


def test_a_path_that_windows_does_not_allow_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr("urbanpipe.platform_support.IS_WINDOWS", True)
    with pytest.raises(OutputError, match=r"the path has more than 259 characters, and Windows is not set up for"):
        output_folder(file / ("x" * 250))
    with pytest.raises(OutputError, match=r"a file of this name exists where a folder is needed"):
        output_folder(file)


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "r.txt", "first")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "r.txt") as file:
        file.write("half" + str(1 // file.write("")))
    assert (tmp_path / "r.txt").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["r.txt"]


def test_not_a_number_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "t.json", float("nan"))
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="a file of this name exists where a folder is needed"):
        write_text(tmp_path / "file" / "r.txt", "")
    with pytest.raises(OutputError, match="a file of this name exists where a folder is needed"):
        output_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="cannot write"):
        write_text(tmp_path / "folder", "")


@needs_posix
@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs Linux's /proc, where nobody can write")
def test_a_read_only_folder_is_refused_before_any_work() -> None:
    with pytest.raises(OutputError, match="cannot write /proc"):
        output_folder(Path("/proc"))


@needs_posix
def test_a_write_that_the_system_cuts_off_leaves_nothing(tmp_path: Path) -> None:
    """A real failed write in a process that may write 1,000 bytes a file: as on a full disk, the error comes late."""
    import resource

    script = (
        "import sys; from pathlib import Path; from urbanpipe.outputs import write_text;"
        "write_text(Path(sys.argv[1]), 'x' * 100000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "r.txt")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "OutputError: cannot write" in done.stderr
    assert not list(tmp_path.iterdir())


@given(st.text())
def test_text_of_others_is_one_printable_line(text: str) -> None:
    shown = plain_text(text)
    assert not any(unicodedata.category(mark) in ("Cc", "Cf", "Cs", "Zl", "Zp") for mark in shown)
    assert plain_text(shown) == shown
    if text.isprintable():
        assert shown == text


@needs_posix
def test_a_log_line_of_a_hostile_name_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_logs()
    logging.getLogger("urbanpipe.test").warning("cannot read %s", "a\x1b[31m\n\u202eb.mp4")
    assert capsys.readouterr().err == "cannot read a\\x1b[31m\\n\\u202eb.mp4\n"


def test_an_error_of_a_hostile_name_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["urbanpipe", "scan", "a\x1b[31m\nb", "--out", "unused.csv"])
    with pytest.raises(SystemExit):
        main()
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("urbanpipe: ")
    assert "a\\x1b[31m\\nb" in lines[-1]


@needs_posix
def test_what_commands_print_of_a_hostile_name_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "a\x1b[31m\nb.mp4").write_bytes(b"no video")
    monkeypatch.setattr(sys, "argv", ["urbanpipe", "scan", str(tmp_path / "v"), "--out", str(tmp_path / "c.csv")])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit):
        main()
    printed = capsys.readouterr().out
    assert "  a\\x1b[31m\\nb.mp4: not a video\n" in printed
    assert "\x1b" not in printed


def test_a_markdown_cell_is_one_cell_of_one_line() -> None:
    table = markdown_table(["class"], [["a|b\n| c |\x1b[31m"]])
    assert table.count("\n") == 3
    assert "a\\|b\\n\\| c \\|\\x1b[31m" in table


def test_a_markdown_cell_is_no_html_link_or_picture() -> None:
    table = markdown_table(["class"], [["<img src=x> ![a](http://x) [b][c] < 1 [.5, .7]"]])
    assert "| \\<img src=x> ![a]\\(http://x) [b]\\[c] < 1 [.5, .7] |" in table


def test_names_that_look_like_markup_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table = new_table("class", "name")
    table.add_row("[bold]A[/x]", ":smile:")
    print_table("Labels", table)
    assert "[bold]A[/x]" in (printed := capsys.readouterr().out)
    assert ":smile:" in printed
