"""The pages of the Python API, which mkdocstrings fills from docstrings when the site is built."""

from urbanpipe import api

GROUPS = {
    "Data": ("simulate", "scan", "audit", "folds"),
    "Training": ("fit", "crossval", "train", "pretrain", "recipes", "weights", "save_weights"),
    "Evaluation": ("evaluate", "evaluate_run", "evaluate_moments", "ensemble", "ablate", "reproduce"),
    "Inspection": ("bundle", "Inspector", "inspect", "predict", "moments", "explain"),
    "Archives": (
        "archive_plan",
        "archive_run",
        "archive_status",
        "archive_merge",
        "archive_query",
        "archive_report",
    ),
    "Documents": ("review", "report", "export", "condition"),
}
MODULES = {
    "findings": ("Findings", "urbanpipe.contracts.findings"),
    "methods": ("Methods and recipes", "urbanpipe.methods"),
    "errors": ("Errors", "urbanpipe.errors"),
}


def pages() -> dict[str, str]:
    """Return the pages as Markdown, by the names of their files."""
    found = {name: f"# {title}\n\n::: {module}\n" for name, (title, module) in MODULES.items()}
    return {"python": _functions(), **found}


def _functions() -> str:
    grouped = [name for names in GROUPS.values() for name in names]
    groups = GROUPS | {"Other": tuple(name for name in api.__all__ if name not in grouped)}
    parts = ["# Python functions\n", "Every verb is a function of `urbanpipe.api`.\n"]
    for title, names in groups.items():
        if names:
            parts += [f"## {title}\n", *(f"::: urbanpipe.api.{name}\n" for name in names)]
    return "\n".join(parts)
