"""Takes from a Python process, and from those that it starts, what Windows does not have.

Python imports this module at its start if its folder is in PYTHONPATH. Modules are hidden from our own code alone, as
Linux's standard library cannot do without them; functions are hidden from everything.
"""

import builtins
import os
import signal
import warnings
from typing import Any

from absent_on_windows import MODULES, NAMES  # type: ignore[import-not-found]

_OURS = ("urbanpipe", "helpers", "test", "__main__")
_import = builtins.__import__


def _without_posix(name: str, *arguments: Any, **options: Any) -> Any:
    importer = arguments[0] if arguments else options.get("globals")
    if name in MODULES and str((importer or {}).get("__name__")).startswith(_OURS):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return _import(name, *arguments, **options)


builtins.__import__ = _without_posix
for _module, _names in ((os, NAMES["os"]), (signal, NAMES["signal"])):
    for _name in _names:
        if hasattr(_module, _name):
            delattr(_module, _name)
warnings.filterwarnings("error", category=EncodingWarning, module="urbanpipe")
