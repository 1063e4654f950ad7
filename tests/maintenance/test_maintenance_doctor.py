"""`doctor`: what is missing on a machine, and how to get it."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from typer.testing import CliRunner

from urbanpipe.cli.main import app
from urbanpipe.errors import VideoError
from urbanpipe.inputs.dataset import frame_cache
from urbanpipe.maintenance import doctor as doctor_module
from urbanpipe.maintenance.check import Check
from urbanpipe.maintenance.doctor import Diagnosis, doctor
from urbanpipe.maintenance.folders import folder_checks
from urbanpipe.maintenance.libraries import LIBRARIES, extra_checks, library_checks
from urbanpipe.maintenance.machine import _gpus, machine_checks
from urbanpipe.maintenance.videos import video_check


def by_name(checks: Any) -> dict[str, Check]:
    return {check.name: check for check in checks}


def loading(wrong: dict[str, Exception]) -> Callable[[str], Any]:
    def load(module: str) -> Any:
        if module in wrong:
            raise wrong[module]
        return import_module(module)

    return load


@pytest.mark.slow
def test_this_machine_can_be_used() -> None:
    found = doctor()
    assert found.usable
    checks = by_name(found.checks)
    assert {*LIBRARIES, "Python", "FFmpeg", "video", "processor", "memory", "encoding", "cache folder"} <= checks.keys()
    assert "libavcodec" in checks["FFmpeg"].text
    assert json.loads(json.dumps(found.as_json()))["usable"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ModuleNotFoundError("No module named 'sympy'", name="sympy"), "the module sympy is not installed"),
        (OSError("libcudart.so.12: cannot open shared object file\nmore"), "OSError: libcudart.so.12: cannot open"),
        (RuntimeError("operator torchvision::nms does not exist"), "RuntimeError: operator torchvision::nms"),
    ],
)
def test_a_library_that_cannot_be_imported_is_named_and_the_others_are_looked_at(error: Exception, text: str) -> None:
    checks = by_name(library_checks(loading({"scipy": error, "torch": error})))
    assert (checks["scipy"].status, checks["torch"].status) == ("broken", "note")  # only training needs torch
    for name in ("scipy", "torch"):
        assert text in checks[name].text
        assert checks[name].fix
        assert len(checks[name].line().splitlines()) == 1
    assert checks["numpy"].status == "ok"


class TestVideo:
    @pytest.mark.slow
    def test_a_clip_is_decoded(self) -> None:
        assert video_check().status == "ok"

    def test_pyav_that_opens_no_video(self) -> None:
        def read(clip: Path) -> int:
            assert clip.stat().st_size > 500
            raise VideoError(clip, "cannot be read (TypeError: open() got an unexpected argument)")

        check = video_check(read)
        assert check.status == "broken"
        assert "a clip cannot be read: " in check.text
        assert "unexpected argument" in check.text
        assert "pip install --force-reinstall av" in check.fix

    def test_pyav_that_writes_no_video(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_encoder(*_: object) -> None:
            raise ValueError

        monkeypatch.setattr(av, "open", no_encoder)
        check = video_check()
        assert (check.status, check.text) == ("broken", "a clip cannot be written: ValueError")

    def test_frames_that_are_lost(self) -> None:
        check = video_check(lambda clip: 3)
        assert (check.status, check.text) == ("broken", "3 of the 5 frames of a clip were read")

    def test_no_temporary_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tempfile.tempdir", "/proc/nothing")
        assert video_check().status == "note"

    def test_pyav_that_cannot_be_imported_is_not_tried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor_module, "library_checks", lambda: [Check("PyAV", "broken", "cannot be imported")])
        assert "video" not in by_name(doctor().checks)


def test_torch_is_an_extra_and_numpy_is_not() -> None:
    absent: dict[str, Exception] = {
        name: ModuleNotFoundError(f"No module named {name!r}", name=name) for name in ("torch", "numpy")
    }
    checks = by_name(library_checks(loading(absent)))
    assert "torch" not in checks
    assert checks["numpy"].status == "broken"


def test_what_needs_torch_names_the_extra_with_torch() -> None:
    error = ModuleNotFoundError("No module named 'torch'", name="torch")
    found = Diagnosis(tuple(library_checks(loading(dict.fromkeys(("torch", "torchvision", "timm"), error)))))
    assert found.usable
    checks = by_name(found.checks)
    for name in ("torchvision", "timm"):
        assert checks[name].status == "note"
        assert checks[name].fix == "run `pip install 'urbanpipe[train]'`"


def test_every_gpu_is_asked_for_its_own_bf16() -> None:
    class OneOfTwo:
        """CUDA with two devices, of which only the second has bf16."""

        current = 0

        @contextmanager
        def device(self, index: int) -> Iterator[None]:
            self.current = index
            yield
            self.current = 0

        def is_available(self) -> bool:
            return True

        def device_count(self) -> int:
            return 2

        def get_device_properties(self, index: int) -> SimpleNamespace:
            return SimpleNamespace(name=f"card {index}", total_memory=10**9)

        def is_bf16_supported(self, including_emulation: bool) -> bool:
            return self.current == 1

    torch = SimpleNamespace(cuda=OneOfTwo(), version=SimpleNamespace(cuda="13.0", hip=None))
    assert [" with bf16" in check.text for check in _gpus(torch)] == [False, True]


def test_the_machine_is_described_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # cannot be imported
    checks = by_name(machine_checks())
    assert {"system", "processor", "memory", "encoding"} == checks.keys()


def test_something_broken_is_exit_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Diagnosis((Check("torch", "broken", "the module torch is not installed", "run `pip install urbanpipe`"),))
    monkeypatch.setattr(doctor_module, "doctor", lambda: broken)
    for given in ([], ["--json"]):
        ran = CliRunner().invoke(app, ["doctor", *given])
        assert ran.exit_code == 1
        assert "torch" in ran.stdout
    assert not json.loads(ran.stdout)["usable"]


def test_extras_say_how_to_get_them() -> None:
    checks = by_name(
        extra_checks(
            [
                "numpy>=1.26",
                "pydantic>=2; extra == 'here'",
                "no-such-package>=2; extra == 'absent'",
                "pydantic[email]>=2; python_version > '3' and extra == 'absent'",
                "no-such-package; extra == 'dev'",
                "no-such-package; extra == 'docs'",
                "pydantic; extra == 'larger'",
                "urbanpipe[here,middle]; extra == 'larger'",
                "urbanpipe[absent] ; extra == 'middle'",
            ]
        )
    )
    assert checks.keys() == {"extra absent", "extra here", "extra larger", "extra middle"}
    for extra in ("larger", "middle"):
        assert checks[f"extra {extra}"].text == "without no-such-package"
    assert checks["extra here"].status == "ok"
    assert checks["extra absent"].text == "without no-such-package"
    assert "pip install 'urbanpipe[absent]'" in checks["extra absent"].fix


def test_a_lowered_processor_capability_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert "unset it" in by_name(machine_checks())["processor"].fix


class TestFolders:
    def test_a_machine_without_home_folder(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def no_home() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", no_home)
        monkeypatch.delenv("XDG_CACHE_HOME")
        checks = by_name(folder_checks())
        assert checks["home folder"].status == "note"
        assert checks["cache folder"].status == "missing"
        assert frame_cache(None, 1.0) is None
        assert "no home folder: frames are not cached" in capsys.readouterr().err

    def test_a_home_folder_that_cannot_be_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/proc/nothing")
        monkeypatch.delenv("XDG_CACHE_HOME")
        checks = by_name(folder_checks())
        assert checks["home folder"].status == checks["cache folder"].status == "note"
        assert "XDG_CACHE_HOME" in checks["cache folder"].fix
