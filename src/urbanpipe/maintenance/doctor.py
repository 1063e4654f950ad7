"""The verb `doctor`: whether urbanpipe can work on this machine, what is missing, and how to get it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import urbanpipe
from urbanpipe.maintenance.check import Check
from urbanpipe.maintenance.folders import folder_checks
from urbanpipe.maintenance.libraries import extra_checks, library_checks, python_check
from urbanpipe.maintenance.machine import machine_checks
from urbanpipe.maintenance.videos import video_check


@dataclass(frozen=True)
class Diagnosis:
    """What `doctor` found.

    Attributes:
        checks: everything that was looked at.
    """

    checks: tuple[Check, ...]

    @property
    def usable(self) -> bool:
        """Whether nothing is broken that verbs need."""
        return not any(check.status == "broken" for check in self.checks)

    def lines(self) -> Iterator[str]:
        """Yield a line per check, and whether urbanpipe can be used."""
        yield from (check.line() for check in self.checks)
        broken = [check.name for check in self.checks if check.status == "broken"]
        yield f"broken: {', '.join(broken)}" if broken else "urbanpipe can be used here"

    def as_json(self) -> dict[str, object]:
        """Return the same for programs."""
        return {"usable": self.usable, "checks": [vars(check) for check in self.checks]}


def doctor() -> Diagnosis:
    """Check versions, extras, processor, GPU, memory, disks, folders and encoding, and decode a tiny clip.

    No request leaves the machine. A library that cannot be imported is a finding, also if it is torch.
    """
    package = Check("urbanpipe", "ok", f"{urbanpipe.__version__} in {Path(urbanpipe.__file__).parent}")
    libraries = [*library_checks()]
    if not any(check.name == "PyAV" and check.status == "broken" for check in libraries):
        libraries.append(video_check())
    return Diagnosis((python_check(), package, *libraries, *extra_checks(), *machine_checks(), *folder_checks()))
