"""Bundles in repositories, against a small Hub on this machine."""

import hashlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import yaml
from typer.testing import CliRunner

from helpers.hostile_bundles import with_digests
from helpers.local_hub import TOKEN, LocalHub, Repository, running_hub
from urbanpipe.api import hub_pull, hub_push
from urbanpipe.cli.main import app
from urbanpipe.errors import BundleError, HubError, OutputError, UrbanpipeError
from urbanpipe.hub import client, pull
from urbanpipe.hub.card import hub_card
from urbanpipe.hub.contents import SUMS
from urbanpipe.inference.bundle import DEMONSTRATION, read_manifest

NAME = "city/sewer-bundle"


@pytest.fixture(scope="module")
def server() -> Iterator[LocalHub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def hub(server: LocalHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalHub:
    """The server without repositories, and a client that has its token."""
    server.repositories, server.large, server.refuse, server.cut = {}, {}, None, set()
    server.requests.clear()
    server.uploads.clear()
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    template = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.address + template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "absent"))
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client's, between its attempts
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    huggingface_hub.close_session()
    return server


PUSHED: list[Repository] = []


@pytest.fixture
def shared_bundle(hub: LocalHub) -> Repository:
    """A repository with the demonstration bundle, which is pushed once."""
    if not PUSHED:
        hub_push(DEMONSTRATION, NAME, licence="apache-2.0")
        PUSHED.append(hub.repositories[NAME])
    copy = hub.repositories[NAME] = Repository()
    copy.commit("main", PUSHED[0].files())
    return copy


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(tmp_path: Path, message: str, repository: str = NAME, revision: str | None = None) -> str:
    """Pull; check that it fails with one line that holds `message`, and leaves nothing."""
    before = set(tmp_path.rglob("*"))
    with pytest.raises(HubError) as caught:
        hub_pull(repository, out=tmp_path / "pulled", revision=revision)
    text = str(caught.value)
    assert message in text
    assert "\n" not in text
    assert len(text) < 500
    assert TOKEN not in text
    assert set(tmp_path.rglob("*")) == before
    return text


@pytest.mark.slow
def test_a_pulled_bundle_is_the_one_that_was_pushed(hub: LocalHub, tmp_path: Path) -> None:
    pushed = hub_push(DEMONSTRATION, NAME, private=True)
    assert pushed.private
    assert hub.repositories[NAME].private
    pulled = hub_pull(NAME, out=tmp_path / "a" / "pulled")
    assert contents(pulled.folder) == contents(DEMONSTRATION)
    assert (pulled.commit, pulled.files, pulled.size_bytes) == (pushed.commit, pushed.files, pushed.size_bytes)
    assert pulled.demonstration
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["pulled"]


def test_the_checksums_are_those_of_sha256sum(shared_bundle: Repository, tmp_path: Path) -> None:
    for name, data in shared_bundle.files().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", SUMS], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(contents(DEMONSTRATION))


def test_the_card_has_metadata_of_the_bundle_only(shared_bundle: Repository) -> None:
    _, head, text = shared_bundle.files()["README.md"].decode().split("---\n", 2)
    data = yaml.safe_load(head)
    assert data["license"] == "apache-2.0"
    assert (data["library_name"], data["pipeline_tag"]) == ("urbanpipe", "video-classification")
    assert {"onnx", "safetensors", "simulated-data"} <= set(data["tags"])
    (model,) = data["model-index"]
    metrics = [metric for result in model["results"] for metric in result["metrics"]]
    assert [metric["value"] for metric in metrics] == [0.3906, 0.3683]
    assert "args" not in metrics[0]  # the demonstration has no intervals
    assert "simulated" in model["results"][0]["dataset"]["name"]
    card = (DEMONSTRATION / "MODEL_CARD.md").read_text()
    assert card.rstrip() in text
    assert f"urbanpipe hub pull {NAME}" in text
    assert 'pip install "urbanpipe[hub,onnx]"' in text


def test_the_card_of_a_bundle_without_graphs_names_the_extra_with_torch() -> None:
    manifest = read_manifest(DEMONSTRATION).model_copy(update={"runtimes": ()})
    assert 'pip install "urbanpipe[hub,train]"' in hub_card(DEMONSTRATION, manifest, repository=NAME, licence=None)


@pytest.mark.slow
def test_the_card_has_the_intervals_of_the_bundle(hub: LocalHub, frame_bundle: Path) -> None:
    hub_push(frame_bundle, NAME)
    data = yaml.safe_load(hub.repositories[NAME].files()["README.md"].decode().split("---\n")[1])
    assert "license" not in data
    metric = data["model-index"][0]["results"][0]["metrics"][0]
    low, high = metric["args"]["interval"]
    assert low <= metric["value"] <= high
    assert metric["args"]["level"] == 0.95


@pytest.mark.slow
def test_a_second_push_sends_only_what_changed_and_deletes_what_is_gone(hub: LocalHub, frame_bundle: Path) -> None:
    first = hub_push(frame_bundle, NAME)
    hub.uploads.clear()
    assert hub_push(frame_bundle, NAME).commit == first.commit
    assert not hub.uploads
    hub.repositories[NAME].commit("main", {**hub.repositories[NAME].files(), "notes.txt": b"a person's"})
    hub_push(DEMONSTRATION, NAME)
    kept = set(hub.repositories[NAME].files()) - {".gitattributes", "README.md", SUMS, "notes.txt"}
    assert kept == set(contents(DEMONSTRATION))


@pytest.mark.slow
def test_a_branch_is_made_and_pulled_by_its_name_or_commit(hub: LocalHub, frame_bundle: Path, tmp_path: Path) -> None:
    pushed = hub_push(frame_bundle, NAME, revision="v2/trial")
    assert contents(hub_pull(NAME, out=tmp_path / "a", revision="v2/trial").folder) == contents(frame_bundle)
    hub_push(DEMONSTRATION, NAME, revision="v2/trial")
    assert contents(hub_pull(NAME, out=tmp_path / "b", revision=pushed.commit).folder) == contents(frame_bundle)
    assert list(hub.repositories[NAME].files()) == [".gitattributes"]


def test_only_files_of_the_bundle_are_sent(hub: LocalHub, frame_bundle: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(frame_bundle, tmp_path / "bundle")
    (bundle / "secret.txt").write_text("not of the bundle")
    hub_push(bundle, NAME)
    assert "secret.txt" not in hub.repositories[NAME].files()
    with_digests(bundle, ["secret.txt"])
    with pytest.raises(HubError, match=r"bundle\.toml names 'secret\.txt', which is not a file of a bundle"):
        hub_push(bundle, NAME)


@pytest.mark.parametrize("name", ["taxonomy.toml", "members/0-demonstration/fold1.safetensors", "bundle.toml"])
def test_a_wrong_checksum_leaves_nothing(shared_bundle: Repository, tmp_path: Path, name: str) -> None:
    files = shared_bundle.files()
    shared_bundle.commit("main", {**files, name: files[name][:-1] + b"#"})
    refused(tmp_path, f"{name} does not have the checksum in SHA256SUMS")


def test_digests_of_the_bundle_are_checked_too(shared_bundle: Repository, tmp_path: Path) -> None:
    """A file that was exchanged together with its line in SHA256SUMS."""
    files = shared_bundle.files()
    changed = files["metrics.json"] + b"\n"
    before, after = (hashlib.sha256(data).hexdigest().encode() for data in (files["metrics.json"], changed))
    shared_bundle.commit("main", {**files, "metrics.json": changed, SUMS: files[SUMS].replace(before, after)})
    refused(tmp_path, f"{NAME}/metrics.json is damaged or was changed")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("bundle.toml", None, "has no bundle: it has no bundle.toml"),
        (SUMS, None, "has no bundle: it has no SHA256SUMS"),
        (SUMS, b"no checksum\n", "line 1 of SHA256SUMS is 'no checksum'"),
        (SUMS, b"", "SHA256SUMS gives no checksum of bundle.toml"),
        ("ood.safetensors", None, "lacks ood.safetensors, which its bundle.toml names"),
    ],
)
def test_a_repository_without_a_whole_bundle(
    shared_bundle: Repository, tmp_path: Path, name: str, data: bytes | None, message: str
) -> None:
    files = {key: value for key, value in shared_bundle.files().items() if key != name}
    shared_bundle.commit("main", files if data is None else {**files, name: data})
    refused(tmp_path, message)


def test_nothing_but_files_of_bundles_is_fetched(hub: LocalHub, shared_bundle: Repository, tmp_path: Path) -> None:
    files = shared_bundle.files()
    manifest = files["bundle.toml"] + b'"../../evil.py" = "0"\n'
    sums = files[SUMS].replace(
        hashlib.sha256(files["bundle.toml"]).hexdigest().encode(), hashlib.sha256(manifest).hexdigest().encode()
    )
    shared_bundle.commit("main", {**files, "bundle.toml": manifest, SUMS: sums, "../../evil.py": b"1", "a.pkl": b"2"})
    refused(tmp_path, "bundle.toml names '../../evil.py', which is not a file of a bundle")
    assert not any("evil" in request or "pkl" in request for request in hub.requests)


def test_a_size_beyond_the_limit_is_refused(
    shared_bundle: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "MAX_BUNDLE_BYTES", 2_000_000)
    refused(tmp_path, "bytes; a bundle of at most 2000000 is accepted")
    monkeypatch.setattr(pull, "MAX_TEXT_BYTES", 100)
    refused(tmp_path, "bytes; at most 100 are accepted")


def test_a_size_that_the_hub_does_not_state_is_refused(
    shared_bundle: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = huggingface_hub.HfApi().model_info(NAME, files_metadata=True)
    for file in info.siblings or ():
        file.size = None
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: info)
    refused(tmp_path, "does not state the size of bundle.toml")


def test_a_bug_of_our_own_is_not_taken_for_one_of_the_hub(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("key")

    monkeypatch.setattr(pull, "_Snapshot", fail)
    siblings = [SimpleNamespace(rfilename=name, size=1) for name in ("bundle.toml", SUMS)]
    info = SimpleNamespace(siblings=siblings, sha="0")
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: info)
    with pytest.raises(KeyError, match="key"):
        hub_pull(NAME, out=tmp_path / "pulled")


@pytest.mark.parametrize("name", ["taxonomy.toml", "members/0-demonstration/fold1.safetensors"])
def test_an_interrupted_download_leaves_nothing(
    hub: LocalHub, shared_bundle: Repository, tmp_path: Path, name: str
) -> None:
    hub.cut = {name}
    refused(tmp_path, "run the command again")


def test_a_private_repository_is_not_there_without_a_token(
    hub: LocalHub, shared_bundle: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared_bundle.private = True
    monkeypatch.delenv("HF_TOKEN")
    refused(tmp_path, "there is no such repository, or it is private")
    shared_bundle.private = False
    assert hub_pull(NAME, out=tmp_path / "pulled").name == "demonstration"  # a public one needs no token


@pytest.mark.parametrize(
    ("repository", "revision", "message"),
    [
        ("city/absent", None, "there is no such repository, or it is private"),
        (NAME, "v9", "has no such revision"),
        ("sewer-bundle", None, "expected OWNER/NAME"),
        ("../../etc/passwd", None, "expected OWNER/NAME"),
    ],
)
def test_what_is_not_there(
    shared_bundle: Repository, tmp_path: Path, repository: str, revision: str | None, message: str
) -> None:
    refused(tmp_path, message, repository, revision)


def test_the_working_folder_is_no_output(
    hub: LocalHub, shared_bundle: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hub.requests.clear()
    with pytest.raises(OutputError, match="the working folder is in it and cannot be replaced"):
        hub_pull(NAME, out=Path())
    assert not hub.requests


def test_an_existing_output_is_left_alone(hub: LocalHub, shared_bundle: Repository, tmp_path: Path) -> None:
    (tmp_path / "pulled").mkdir()
    (tmp_path / "pulled" / "mine").write_text("mine")
    hub.requests.clear()
    refused(tmp_path, "exists already")
    assert not hub.requests


@pytest.mark.parametrize(
    ("status", "message"),
    [(503, "answered with status 503"), (429, "limits the rate"), (200, "does not answer as a Hub")],
)
def test_a_hub_that_does_not_work(hub: LocalHub, tmp_path: Path, status: int, message: str) -> None:
    hub.refuse = status
    refused(tmp_path, message)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(client, "find_spec", lambda _: None)
    refused(tmp_path, "run `pip install 'urbanpipe[hub]'`")


def test_no_network_and_a_dead_proxy_are_one_line_without_the_password(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HTTP_PROXY", "http://user:pass-word@127.0.0.1:9")
    huggingface_hub.close_session()
    text = refused(tmp_path, "through the proxy that HTTP_PROXY sets failed (no answer)")
    monkeypatch.setenv("HTTP_PROXY", "nonsense://user:pass-word@127.0.0.1:9")
    huggingface_hub.close_session()
    text += refused(tmp_path, "the address of the proxy is not valid")
    monkeypatch.delenv("HTTP_PROXY")
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://user:pass-word@127.0.0.1:9")
    huggingface_hub.close_session()
    text += refused(tmp_path, "the connection to http://127.0.0.1:9 failed")
    assert "pass-word" not in text + caplog.text


def test_a_push_needs_a_valid_token(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong-secret")
    with pytest.raises(HubError, match=r"the token is not valid") as caught:
        hub_push(DEMONSTRATION, NAME)
    assert "wrong-secret" not in str(caught.value)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match=r"there is no token to write with; run `hf auth login`, or set HF_TOKEN"):
        hub_push(DEMONSTRATION, NAME)
    assert not hub.repositories


def test_nothing_private_goes_to_a_public_repository(hub: LocalHub, shared_bundle: Repository) -> None:
    before = dict(shared_bundle.branches)
    with pytest.raises(HubError, match=r"exists and is public, so nothing was sent"):
        hub_push(DEMONSTRATION, NAME, private=True)
    assert shared_bundle.branches == before


def test_a_damaged_bundle_is_not_pushed(hub: LocalHub, frame_bundle: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(frame_bundle, tmp_path / "bundle")
    (bundle / "metrics.json").write_text("{}")
    with pytest.raises(BundleError, match=r"metrics\.json is damaged"):
        hub_push(bundle, NAME)
    with_digests(bundle, ["metrics.json"])
    with pytest.raises(HubError, match=r"lacks a figure of the model card: 'videos'"):
        hub_push(bundle, NAME)
    with pytest.raises(HubError, match=r"the licence is 'Mine!'"):
        hub_push(frame_bundle, NAME, licence="Mine!")
    assert not hub.requests


@pytest.mark.slow
def test_the_commands_say_what_was_done(hub: LocalHub, tmp_path: Path) -> None:
    pushed = CliRunner().invoke(app, ["hub", "push", str(DEMONSTRATION), NAME])
    assert pushed.exit_code == 0, pushed.output
    assert "in the public repository city/sewer-bundle" in pushed.output
    assert "names no licence" in pushed.output
    command = pushed.stdout.rsplit("urbanpipe ", 1)[1].split()
    command[-1] = str(tmp_path / "pulled")
    pulled = CliRunner().invoke(app, command)
    assert pulled.exit_code == 0, pulled.output
    assert pulled.stdout.splitlines()[-1] == f"bundle: {tmp_path / 'pulled'}"
    again = CliRunner().invoke(app, command)
    assert isinstance(again.exception, UrbanpipeError)


def test_push_and_pull_are_also_found_under_bundle(hub: LocalHub, tmp_path: Path) -> None:
    del hub
    pushed = CliRunner().invoke(app, ["bundle", "push", str(DEMONSTRATION), NAME])
    assert pushed.exit_code == 0, pushed.output
    pulled = CliRunner().invoke(app, ["bundle", "pull", NAME, "--out", str(tmp_path / "pulled")])
    assert pulled.exit_code == 0, pulled.output
    assert (tmp_path / "pulled" / "bundle.toml").exists()


@pytest.mark.multiprocess
def test_a_process_of_its_own_prints_one_line(hub: LocalHub, shared_bundle: Repository, tmp_path: Path) -> None:
    """With the variables that a user sets, and what the client's library prints."""
    files = shared_bundle.files()
    shared_bundle.commit("main", {**files, "taxonomy.toml": b"changed"})
    command = [sys.executable, "-m", "urbanpipe.cli.main", "hub", "pull", NAME, "--out", str(tmp_path / "pulled")]
    settings = {"HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path), "HF_DEBUG": "1"}
    done = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"urbanpipe: {NAME} at ")
    assert "taxonomy.toml does not have the checksum" in line
