"""One thing that `doctor` looked at."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "missing", "broken"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what it is, the same on every machine, such as `torch` or `extra onnx`.
        status: `ok`; `note`, worth knowing; `missing`, optional and not there; `broken`, needed and not usable.
        text: what was found.
        fix: what to do about it; empty where nothing needs to be done.
    """

    name: str
    status: Status
    text: str
    fix: str = ""

    def line(self) -> str:
        """Return one line for a person."""
        return f"{self.status:<7}  {self.name}: {self.text}" + (f"; {self.fix}" if self.fix else "")
