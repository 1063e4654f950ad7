"""Extras, containers and workflows agree with pyproject.toml and with what the documents promise."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[1]
EXTRAS = set(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
DOCKERFILES = ("Dockerfile", "Dockerfile.cuda")


def services() -> dict[str, dict[str, Any]]:
    """The services of compose.yaml, with what they share."""
    found: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "containers" / "compose.yaml").read_text())["services"]
    return found


def test_the_documents_list_every_extra_once() -> None:
    text = (PROJECT / "docs" / "installation.md").read_text().partition("## Extras")[2].partition("## Containers")[0]
    listed = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(listed) == sorted(EXTRAS)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_images_install_extras_that_exist_and_run_without_rights(name: str) -> None:
    text = (PROJECT / "containers" / name).read_text()
    (extras,) = re.findall(r"^ARG EXTRAS=(.+)$", text, re.MULTILINE)
    assert set(extras.split(",")) <= EXTRAS
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["10001:10001"]
    assert "HEALTHCHECK" in text


def test_images_differ_in_torch_only() -> None:
    cpu, cuda = ((PROJECT / "containers" / name).read_text().splitlines() for name in DOCKERFILES)
    different = [line for line in {*cpu} ^ {*cuda} if not line.startswith("#")]
    assert all(re.search(r"ARG EXTRAS=|NVIDIA_|PYTHONUNBUFFERED", line) for line in different), different


@pytest.mark.parametrize("name", ["review", "inspect"])
def test_services_write_to_volumes_only_and_open_no_port_to_others(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
