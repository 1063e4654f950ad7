"""The page of `fit`: what was tried, what was chosen and why, and mAP over the time spent."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from jinja2 import Environment
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from urbanpipe.evaluation.plots import save
from urbanpipe.evaluation.tables import markdown_table, per_cent
from urbanpipe.outputs import markdown_text, write_text
from urbanpipe.progress import duration_text
from urbanpipe.tuning.budget import Budget
from urbanpipe.tuning.figures import Figures, Outcome, Point

MARKDOWN, HTML, PLOT = "fit.md", "fit.html", "fit.png"
_INK, _LINE, _PALE = "#1f2933", "#1b7837", "#9aa5b1"
_HEADER = ["step", "mAP (sd over folds)", "pooled", "95 % interval", "time", ""]
_CLASS_HEADER = ["class", "name", "videos", "AP (sd over folds)", "pooled", "95 % interval"]
_NOTES = (
    "The mAP is the mean over the folds; the pooled one ranks all videos together, and has the interval, a bootstrap "
    "over groups of videos.",
    "Each video is predicted by networks that were not trained on it. The combination of a fold has the weights that "
    "were found on the other folds.",
)

_PAGE = Environment(autoescape=True).from_string(
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #d9e0e6; vertical-align: top; }
th { font-weight: 600; } .steps td:nth-child(n+2):nth-child(-n+5) { white-space: nowrap; }
.verdict { font-size: 1.25rem; } img { max-width: 100%; } .notes { color: #52606d; font-size: .9rem; }
pre { background: #f3f5f7; padding: .6rem .8rem; overflow-x: auto; }
</style></head><body>
<h1>{{ title }}</h1>
<p class="verdict">{{ verdict }}</p>
<p>{{ used }}</p>
{% if warnings %}<h2>Warnings about the data</h2>
<ul>{% for warning in warnings %}<li>{{ warning }}</li>
{% endfor %}</ul>{% endif %}
<h2>What was tried</h2>
<table class="steps"><tr>{% for cell in header %}<th>{{ cell }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% if untried %}<p>{{ untried }}</p>{% endif %}
<h2>What was chosen</h2>
<p>{{ why }}</p>
<table><tr><th>run</th><th>weight</th></tr>
{% for name, weight in weights %}<tr><td>{{ name }}</td><td>{{ weight }}</td></tr>
{% endfor %}</table>
<img src="{{ plot }}" alt="mAP over the time spent">
{% if classes %}<h2>What it recognises</h2>
{% if without %}<p>{{ without }}</p>
{% endif %}<table class="steps"><tr>{% for cell in class_header %}<th>{{ cell }}</th>{% endfor %}</tr>
{% for row in classes %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>{% endif %}
<h2>What to do with it</h2>
{% for use, command in uses %}<p>{{ use }}</p>
<pre>{{ command }}</pre>
{% endfor %}
<div class="notes">{% for note in notes %}<p>{{ note }}</p>{% endfor %}</div>
</body></html>
"""
)


def write_page(
    folder: Path, outcomes: Sequence[Outcome], points: Sequence[Point], budget: Budget, warnings: Sequence[str] = ()
) -> None:
    """Write the page as Markdown and HTML, and the plot.

    Args:
        folder: folder of the results.
        outcomes: the steps so far.
        points: the combinations so far, at least one.
        budget: the budget.
        warnings: what the audit says about the data.

    Raises:
        OutputError: a file cannot be written.
    """
    content = _content(folder, outcomes, points[-1], budget) | {"warnings": warnings}
    save(_plot(points), folder / PLOT)
    write_text(folder / MARKDOWN, _markdown(content))
    write_text(folder / HTML, _PAGE.render(content))


def _content(folder: Path, outcomes: Sequence[Outcome], last: Point, budget: Budget) -> dict[str, Any]:
    """Return what both forms of the page say, by name."""
    tried = [outcome for outcome in outcomes if not _lacked_time(outcome)]
    return {
        "title": f"What fit found in {folder.resolve().parent.name}",
        "verdict": _verdict(outcomes, last),
        "used": _used(budget),
        "header": _HEADER,
        "rows": [*map(_row, tried), _cells("combination of all", last.figures, duration_text(last.spent_seconds))],
        "untried": _untried([outcome for outcome in outcomes if _lacked_time(outcome)]),
        "why": _why(outcomes, last),
        "weights": [[name, f"{weight:.2f}"] for name, weight in last.weights.items() if weight > 0],
        "plot": PLOT,
        "class_header": _CLASS_HEADER,
        "classes": _class_rows(last),
        "without": _without_exclusive(last),
        "uses": _uses(folder, last),
        "notes": _NOTES,
    }


def _markdown(content: Mapping[str, Any]) -> str:
    """Return the page as Markdown."""
    warnings = "".join(f"- {markdown_text(warning)}\n" for warning in content["warnings"])
    classes = markdown_table(content["class_header"], content["classes"], left=2) if content["classes"] else ""
    paragraphs = [
        f"# {content['title']}\n",
        f"{content['verdict']}\n{content['used']}\n",
        *(["## Warnings about the data\n", warnings] if warnings else []),
        "## What was tried\n",
        markdown_table(content["header"], content["rows"], left=1),
        *([f"{content['untried']}\n"] if content["untried"] else []),
        "## What was chosen\n",
        f"{content['why']}\n",
        markdown_table(["run", "weight"], content["weights"], left=1),
        f"![mAP over the time spent]({content['plot']})\n",
        *(["## What it recognises\n"] if classes else []),
        *([f"{content['without']}\n"] if classes and content["without"] else []),
        *([classes] if classes else []),
        "## What to do with it\n",
        *(f"{use}\n\n    {command}\n" for use, command in content["uses"]),
        "".join(f"- {note}\n" for note in content["notes"]),
    ]
    return "\n".join(paragraphs)


def _verdict(outcomes: Sequence[Outcome], last: Point) -> str:
    """Return the result in one sentence: the combination, beside the frozen baseline."""
    baseline = next(outcome for outcome in outcomes if outcome.figures is not None)
    if math.isnan(last.figures.mean):
        return "No mAP can be given: too few classes are in the videos of several folds. Label more videos per class."
    if sum(outcome.is_done for outcome in outcomes) == 1:
        return f"{baseline.step.recipe.name}, the baseline, has an mAP of {last.figures}."
    name = baseline.step.recipe.name
    return f"The combination has an mAP of {last.figures}; the baseline, {name}, has {baseline.figures}."


def _why(outcomes: Sequence[Outcome], last: Point) -> str:
    """Return by what the runs of the combination were chosen, and what the combination gains."""
    if len(last.weights) == 1:
        return "Only one run was completed."
    done = {outcome.step.recipe.name: outcome.figures for outcome in outcomes if outcome.figures is not None}
    best = max(done, key=lambda name: done[name].mean)
    without = [name for name, weight in last.weights.items() if not weight]
    sentences = ["The weights come from searches for the best mAP of out-of-fold predictions."]
    if without:
        sentences.append(
            f"Left out, because their weight is too small or only single folds selected them: {', '.join(without)}."
        )
    if not math.isnan(done[best].mean):
        sentences.append(
            f"The best single run, {best}, has {per_cent(done[best].mean)}, "
            f"and the combination {per_cent(last.figures.mean)}."
        )
    if any(outcome.stage == "compared" for outcome in outcomes):
        sentences.append(
            "Settings of fine-tuning and numbers of epochs were compared on the first two folds; the best ones were "
            "trained on all folds. For each fold, the choice uses only the other folds."
        )
    return " ".join(sentences)


def _used(budget: Budget) -> str:
    return f"{duration_text(budget.spent_seconds)} of {duration_text(budget.seconds)} were used."


def _lacked_time(outcome: Outcome) -> bool:
    return outcome.figures is None and outcome.tried is None and not outcome.has_failed


def _untried(outcomes: Sequence[Outcome]) -> str:
    """Return a sentence about the steps for which no time was left; empty without any."""
    names = [
        f"{outcome.step.recipe.name} ({outcome.reason})" if "take" in outcome.reason else outcome.step.recipe.name
        for outcome in outcomes
    ]
    return f"Not tried, because too little time was left: {', '.join(names)}." if names else ""


def _row(outcome: Outcome) -> list[str]:
    name = f"{outcome.step.recipe.name} ({outcome.step.about})"
    if outcome.tried is not None:
        mean = per_cent(sum(outcome.tried.values()) / len(outcome.tried))
        return [name, mean, "-", "-", duration_text(outcome.seconds), outcome.reason]
    if outcome.figures is None:
        return [name, "-", "-", "-", "-", outcome.reason]
    return _cells(name, outcome.figures, duration_text(outcome.seconds))


def _cells(name: str, figures: Figures, seconds: str) -> list[str]:
    return [name, figures.spread, per_cent(figures.pooled), figures.interval, seconds, ""]


def _class_rows(last: Point) -> list[list[str]]:
    return [
        [row.code, row.name, str(row.positives), row.figures.spread, per_cent(row.figures.pooled), row.figures.interval]
        for row in last.classes
    ]


def _without_exclusive(last: Point) -> str:
    """Return a sentence about the mAP without the exclusive class, if it differs."""
    if last.defects is None or last.defects.mean == last.figures.mean or math.isnan(last.defects.mean):
        return ""
    return f"Over the defects alone, without the class of videos that show none, the mAP is {last.defects}."


def _uses(folder: Path, last: Point) -> list[tuple[str, str]]:
    """Return what the result is used for, each with its command, from the working directory of the call."""
    experiment = folder.parent
    model = folder / "ensemble" if len(last.weights) > 1 else experiment / next(iter(last.weights))
    catalog = quote(str(experiment / "catalog.csv")) if (experiment / "catalog.csv").exists() else "CATALOG"
    return [
        (
            "Look for defects in new videos:",
            f"urbanpipe inspect NEW_VIDEOS --bundle {quote(str(folder / 'bundle'))} --out inspected",
        ),
        (
            "Make a bundle that also runs without torch, and recognises non-pipe videos:",
            f"urbanpipe bundle {quote(str(model))} --data {catalog} --runtime onnx --out bundle",
        ),
    ]


def _plot(points: Sequence[Point]) -> Figure:
    """Return the plot of the pooled mAP of the combination over the time spent, with its interval."""
    figure = Figure(figsize=(8.5, 3.6), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    minutes = [point.spent_seconds / 60 for point in points]
    pooled = [100 * point.figures.pooled for point in points]
    low, high = ([100 * getattr(point.figures, end) for point in points] for end in ("low", "high"))
    axes.vlines(minutes, low, high, color=_PALE, linewidth=2)
    axes.plot(minutes, pooled, marker="o", color=_LINE, linewidth=1.5)
    for number, (point, x, y) in enumerate(zip(points, minutes, pooled, strict=True), start=1):
        axes.annotate(str(number), (x, y), xytext=(6, 5), textcoords="offset points", fontsize=8, color=_INK)
        axes.plot([], [], linestyle="", color=_INK, marker=f"${number}$", label=point.after)
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=8, frameon=False, title="after", title_fontsize=8
    )
    axes.set_xlabel("minutes spent", color=_INK, fontsize=9)
    axes.set_ylabel("pooled mAP, 95 % interval", color=_INK, fontsize=9)
    axes.margins(x=0.08, y=0.15)
    axes.set_xlim(left=0)
    axes.grid(axis="y", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
