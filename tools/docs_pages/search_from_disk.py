"""Search in a site that is opened from disk, where browsers neither fetch a file nor start a worker from one.

The theme then reads the index from a script, `search.js`, and this module gives it the worker's code in another one.
"""

import json
from pathlib import Path

SCRIPT = "assets/javascripts/search_from_disk.js"
"""Loaded by every page before the theme's own script; `zensical.toml` names it."""
_CODE = """if (location.protocol === "file:") {
  const code = %s;
  const FileWorker = window.Worker;
  window.Worker = function () {
    return new FileWorker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  };
}
"""


def write_scripts(site: Path) -> None:
    """Write the index and the worker of a built site as scripts."""
    (worker,) = (site / "assets" / "javascripts" / "workers").glob("search.*.js")
    index = (site / "search.json").read_text(encoding="utf-8")
    (site / "search.js").write_text(f"var __index = {index};\n", encoding="utf-8")
    (site / SCRIPT).write_text(_CODE % json.dumps(worker.read_text(encoding="utf-8")), encoding="utf-8")
