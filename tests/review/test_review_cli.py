"""The verb `review`: accounts, and what it refuses before it listens."""

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.inspection_material import made_inspection
from helpers.review_material import client_of, served
from urbanpipe import api
from urbanpipe.cli.main import app
from urbanpipe.errors import InspectionError, ReviewError
from urbanpipe.review.people import Person, Role, people, person_with
from urbanpipe.review.serve import review
from urbanpipe.review_store.store import ReviewStore

PASSWORD = "correct horse battery"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    made_inspection(tmp_path / "out" / "v0", "v0.mp4")
    return tmp_path / "out"


def test_an_account_is_added_and_gets_a_new_password(out: Path) -> None:
    for password in (PASSWORD, PASSWORD + "!"):
        run = CliRunner().invoke(
            app,
            ["review", str(out), "--add-account", "Lea", "--role", "lead"],
            input=f"{password}\n{password}\n",
        )
        assert run.exit_code == 0, run.output
        assert f"Lea can log in as lead: {out / 'review.sqlite'}" in run.output
        assert password not in run.output
    store = ReviewStore(out / "review.sqlite")
    assert people(store) == [Person("Lea", Role.lead)]
    assert person_with(store, "Lea", PASSWORD) is None
    assert person_with(store, "Lea", PASSWORD + "!") == Person("Lea", Role.lead)


def test_an_unknown_role_is_refused(out: Path) -> None:
    run = CliRunner().invoke(app, ["review", str(out), "--add-account", "Lea", "--role", "boss"])
    assert "the role is 'boss'; expected reviewer or lead" in str(run.exception)


def test_a_port_in_use_is_named(out: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ReviewError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*; give another --port"):
            review(out, port=port)


def test_a_folder_without_inspections_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["review", str(tmp_path), "--port", "0"])
    assert isinstance(run.exception, InspectionError)
    assert not any(tmp_path.iterdir())


def test_the_function_of_the_api_is_that_of_the_verb() -> None:
    assert api.review is review


@pytest.mark.parametrize(
    "name", ["a b#1 50%?+&", "übergänge", "u\u0308ber", "\u202egpj", "视频→1", "x\ny", "-", "a'b\"c<d>"]
)
def test_folders_of_any_name_can_be_reviewed(tmp_path: Path, name: str) -> None:
    made_inspection(tmp_path / "out" / name, f"{name}.mp4".replace("/", "_"))
    client = client_of(served(tmp_path / "out", videos=0))
    (video,) = client.get("/api/queue").json()["videos"]
    assert video["folder"] == name
    from urllib.parse import quote

    view = client.get(f"/api/videos/{quote(name, safe='')}")
    assert view.status_code == 200, view.text
    assert client.get(f"/media/{quote(name, safe='')}/picture/CK-1.jpg").status_code == 200
    assert client.get(f"/api/videos/{quote(name, safe='')}/neighbours").json() == {"previous": None, "next": None}


def test_a_single_inspection_can_be_reviewed(tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / "v0", "v0.mp4")
    client = client_of(served(tmp_path / "out" / "v0", videos=0))
    (video,) = client.get("/api/queue").json()["videos"]
    assert client.get(f"/api/videos/{video['folder']}").json()["folder"] == "v0"
