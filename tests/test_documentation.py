"""Pages name commands and options of this version, the generated pages are complete, and getting started works."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from build_docs import build, linked_files, navigation, without_abort
from docs_pages import command_line, python
from docs_pages.executed import MARK, NOT_RUN, RUN, noted
from docs_pages.links import broken_links
from helpers.browsers import chromium
from helpers.command_lines import command_lines, pages, parse, runnable
from urbanpipe import api
from urbanpipe.cli.main import GROUPS, VERBS, app
from urbanpipe.methods.table import METHODS
from urbanpipe.taxonomy import default_taxonomy

PROJECT = Path(__file__).parents[1]
START = sorted((PROJECT / "docs" / "start").glob("*.md"))
TINY_VIDEOS = ["--videos", "4", "--size", "96x80", "--fps", "8", "--seconds", "1:2", "--workers", "1"]


@pytest.mark.parametrize("path", pages(PROJECT), ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_command_lines_have_options_of_this_version(path: Path) -> None:
    for words in command_lines(path.read_text(encoding="utf-8")):
        try:
            parse(words)
        except Exception as error:
            pytest.fail(f"urbanpipe {' '.join(words)}: {getattr(error, 'message', error)}")


def test_an_option_that_does_not_exist_is_found() -> None:
    (words,) = command_lines("```bash\nurbanpipe scan VIDEOS --out a.csv \\\n    --lables x.json  # labels\n```\n")
    assert words == ["scan", "VIDEOS", "--out", "a.csv", "--lables", "x.json"]
    with pytest.raises(Exception, match="--lables"):
        parse(words)


@pytest.mark.slow
def test_getting_started(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run what the pages say, with pages that begin with the same videos in one folder, and each line once in it."""
    folders: dict[str, Path] = {}
    ran = set()
    for path in START:
        lines = list(runnable(path.read_text(encoding="utf-8")))
        assert lines[0][0] == "simulate"
        folder = folders.setdefault(" ".join(lines[0]), tmp_path_factory.mktemp("start"))
        monkeypatch.chdir(folder)
        for words in lines:
            line = f"urbanpipe {' '.join(words)}"
            if (folder, line) in ran:
                continue
            ran.add((folder, line))
            done = CliRunner().invoke(app, [*words, *(TINY_VIDEOS if words[0] == "simulate" else [])])
            assert done.exit_code == 0, f"{path.name}: {line}: {done.output} {done.exception}"
            if "--out" in words:
                assert Path(words[words.index("--out") + 1]).exists(), line
    assert {line.split()[1] for _, line in ran} >= {"inspect", "export", "report", "folds", "archive", "recipes"}


def test_every_verb_and_option_is_on_the_page_of_commands() -> None:
    page = command_line.page()
    for verb in VERBS:
        assert f"\n## urbanpipe {verb}\n" in page
    for group in GROUPS:
        assert f"\n## urbanpipe {group} " in page
    assert page.index("| `--config` |") < page.index("\n## urbanpipe demo\n"), "options before the verb"
    export = page.split("\n## urbanpipe export\n")[1].split("\n## ")[0]
    assert "| `--to` | `cjj181` or `isybau` or" in export
    assert "| `--pictures`, `--no-pictures` |  | on |" in export


def test_every_recipe_key_is_explained() -> None:
    pytest.importorskip("griffe", reason="the extra docs is not installed")
    from docs_pages import recipe_keys

    page = recipe_keys.page()
    keys = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert not [key for key, *_, about in keys if about in ("", " |")]
    assert {f"## input, method {name}" for name in METHODS} <= set(page.splitlines())
    assert "| `optimiser.learning_rate` | `float`, > 0 | `0.001` |" in page
    assert "| `input.memory." in page, "sections within a section"


def test_every_function_is_on_the_page_of_functions() -> None:
    page = python.pages()["python"].splitlines()
    assert sorted(f"::: urbanpipe.api.{name}" for name in api.__all__) == sorted(x for x in page if x.startswith(":::"))


AUDIT = "urbanpipe audit catalog.csv"


def test_the_site_says_below_each_block_of_commands_whether_a_test_runs_it() -> None:
    ran = f"{MARK}```bash\nurbanpipe recipes\n```\n"
    assert noted(f"# Page\n\n{ran}") == f"# Page\n\n{ran}\n{RUN}\n"
    assert noted(f"{ran}\n    {AUDIT}\n\nText\n") == f"{ran}\n{RUN}\n\n    {AUDIT}\n\n{NOT_RUN}\n\nText\n"
    assert noted(f"```bash\n{AUDIT}\n```\nText\n") == f"```bash\n{AUDIT}\n```\n\n{NOT_RUN}\nText\n"
    assert noted(f"- item\n\n        {AUDIT}\n\n  text\n").endswith(f"{AUDIT}\n\n    {NOT_RUN}\n\n  text\n")


@pytest.mark.parametrize(
    "line",
    [
        "pip install x",
        "python3 -m venv .venv",
        ". .venv/bin/activate\n\n    make docs",
        "export VIDEOS=/path/to/videos",
        'HOSTS="a b" examples/cluster/archive-ssh.sh ARCHIVE',
        "OMP_NUM_THREADS=1 python benchmarks/x.py",
        "docker build .",
        "$ hf auth login",
        ".venv/bin/pre-commit install",
    ],
)
def test_commands_of_every_program_have_a_note(line: str) -> None:
    assert noted(f"Text\n\n    {line}\n") == f"Text\n\n    {line}\n\n{NOT_RUN}\n"


@pytest.mark.parametrize(
    "block",
    [
        "    urbanpipe: labls in [scan] is not an option",
        "    [inspect]\n    bundle = 'x'",
        "    class Method:\n        config_type = Config",
        "```text\nmake docs\n```",
        "```python\nimport urbanpipe\n```",
        "    merged/videos.parquet",
    ],
)
def test_what_is_no_command_has_no_note(block: str) -> None:
    assert noted(f"Text\n\n{block}\n") == f"Text\n\n{block}\n"


def test_a_block_that_is_said_to_be_run_is_run_in_full() -> None:
    """On pages that tests run, and with nothing in it that they would leave out."""
    ran_by_tests = {*START, *(PROJECT / "docs").glob("*.md")}
    for path in [*PROJECT.glob("*.md"), *pages(PROJECT)]:
        text = path.read_text(encoding="utf-8")
        blocks = text.split(MARK)[1:]
        assert not blocks or path in ran_by_tests, path
        for block in (block.removeprefix("```bash\n").split("\n```")[0] for block in blocks):
            starts = [line for line in block.replace("\\\n", " ").splitlines() if not line.startswith("  ")]
            assert len(starts) == len([*runnable(f"{MARK}```bash\n{block}\n```\n")]), f"{path}: {block}"


@pytest.mark.browser
@pytest.mark.slow
def test_search_works_where_the_site_is_opened_from_disk(tmp_path: Path) -> None:
    pytest.importorskip("zensical", reason="the extra docs is not installed")
    assert not build(tmp_path)
    with chromium() as browser:
        page = browser.new_page()
        page.goto((tmp_path / "site" / "docs" / "start" / "operator.html").as_uri())
        page.keyboard.press("/")
        page.get_by_role("combobox", name="Search").fill("merge tables")
        page.get_by_role("status").filter(has_text="results").wait_for()
        assert page.locator("a", has_text="urbanpipe archive merge").count() == 1


def test_pages_that_the_navigation_lacks_are_added() -> None:
    nav: list[dict[str, Any]] = [
        {"How-to guides": ["docs/a.md"]},
        {"Reference": [{"Keys": "docs/k.md"}]},
        {"Benchmarks": []},
        {"Home": "x.md"},
    ]
    made = navigation(nav, ["docs/a.md", "docs/k.md", "docs/new.md", "benchmarks/b.md", "x.md"])
    assert made == [
        {"How-to guides": ["docs/a.md", "docs/new.md"]},
        {"Reference": [{"Keys": "docs/k.md"}]},
        {"Benchmarks": ["benchmarks/b.md"]},
        {"Home": "x.md"},
    ]


def test_files_that_a_page_links_to_come_along() -> None:
    page = PROJECT / "docs" / "start" / "inspector.md"
    found = list(
        linked_files(page, "![x](../images/start-index.jpg) [y](../review.md#keys) [z](https://example.org/a)")
    )
    assert found == [PROJECT / "docs" / "images" / "start-index.jpg"]


def test_a_page_that_zensical_refuses_leaves_its_message_and_no_traceback() -> None:
    warning, traceback = (
        "Warning: page does not exist\n",
        "Traceback (most recent call last):\n  File x\nRuntimeError: ",
    )
    assert without_abort(f"{warning}{traceback}Aborted because --strict flag is set\n") == warning
    assert without_abort(warning + traceback + "a fault\n") == warning + traceback + "a fault\n"


def test_links_to_missing_files_and_other_hosts_are_found(tmp_path: Path) -> None:
    (tmp_path / "there.png").touch()
    (tmp_path / "page.html").write_text(
        '<a href="https://example.org/x">x</a><a href="#here">x</a><img src="there.png"><img src="gone%20.png">'
        '<script src="https://example.org/x.js"></script>'
    )
    assert list(broken_links(tmp_path)) == ["page.html: loads https://example.org/x.js", "page.html: no gone%20.png"]


def test_the_glossary_has_every_class_of_the_taxonomy() -> None:
    text = (PROJECT / "docs" / "glossary.md").read_text(encoding="utf-8")
    for defect in default_taxonomy().classes:
        assert f"| {defect.code} | {defect.en} | {defect.zh} | {defect.kind} |" in text
