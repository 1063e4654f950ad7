"""Extras, containers and workflows agree with pyproject.toml and with what the documents promise."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[1]
EXTRAS = set(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
IMAGE = (PROJECT / "containers" / "Dockerfile").read_text()


def services() -> dict[str, dict[str, Any]]:
    """The services of compose.yaml, with what they share."""
    found: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "containers" / "compose.yaml").read_text())["services"]
    return found


def test_the_documents_list_every_extra_once() -> None:
    text = (PROJECT / "docs" / "installation.md").read_text().partition("## Extras")[2].partition("### Each extra")[0]
    listed = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(listed) == sorted(EXTRAS)


def test_every_extra_that_is_not_for_developers_is_tried() -> None:
    text = (PROJECT / "tools" / "check_extras.sh").read_text()
    (tried,) = re.findall(r"\|\| set -- (.+)$", text, re.MULTILINE)
    assert {*tried.split()} - {"none"} == EXTRAS - {"bench", "dev", "docs"}


def test_images_install_extras_that_exist_and_run_without_rights() -> None:
    (extras,) = re.findall(r"^ARG EXTRAS=(.+)$", IMAGE, re.MULTILINE)
    assert set(extras.split(",")) <= EXTRAS
    assert re.findall(r"^USER (.+)$", IMAGE, re.MULTILINE) == ["10001:10001"]
    assert "HEALTHCHECK" in IMAGE


@pytest.mark.parametrize("page", ["containers/Dockerfile", "docs/installation.md"])
def test_the_image_for_gpus_adds_torch_to_the_extras_of_the_other(page: str) -> None:
    (extras,) = re.findall(r"^ARG EXTRAS=(.+)$", IMAGE, re.MULTILINE)
    assert re.findall(r"--build-arg EXTRAS=(\S+)", (PROJECT / page).read_text()) == [f"{extras},train"]


def test_the_service_for_gpus_is_the_other_with_the_image_for_gpus() -> None:
    (extras,) = re.findall(r"^ARG EXTRAS=(.+)$", IMAGE, re.MULTILINE)
    service, other = services()["inspect-gpu"], services()["inspect"]
    differs = {key for key in service | other if service.get(key) != other.get(key)}
    assert differs == {"image", "build", "profiles", "deploy"}
    assert service["build"]["args"]["EXTRAS"] == f"{extras},train"
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


@pytest.mark.parametrize("name", ["review", "inspect", "inspect-gpu"])
def test_services_write_to_volumes_only_and_open_no_port_to_others(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
