"""The table that `fit` shows on a terminal after each step; a log gets a line per step instead."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from urbanpipe.evaluation.tables import per_cent
from urbanpipe.outputs import plain_text
from urbanpipe.progress import duration_text
from urbanpipe.tuning.budget import Budget
from urbanpipe.tuning.figures import Figures, Outcome, Point


def show_table(outcomes: Sequence[Outcome], points: Sequence[Point], budget: Budget, console: Console) -> None:
    """Print the steps so far with mAP, interval and time, the best combination, and the time left.

    Args:
        outcomes: the steps so far.
        points: the combinations so far; may be empty.
        budget: the budget.
        console: the terminal, without markup, which a reason might contain.
    """
    left = duration_text(budget.left_seconds)
    table = Table(title=f"fit: {duration_text(budget.spent_seconds)} used, {left} left", title_justify="left")
    for name in ("stage", "step", "mAP", "pooled, 95 % interval", "time", ""):
        table.add_column(name, justify="right" if name in ("mAP", "time") else "left")
    for outcome in outcomes:
        table.add_row(*_cells(outcome))
    if points:
        table.add_section()
        table.add_row(
            "combined", "", *_figures(points[-1].figures), duration_text(points[-1].spent_seconds), "", style="bold"
        )
    console.print(table)


def _cells(outcome: Outcome) -> list[str]:
    name, time = outcome.step.recipe.name, duration_text(outcome.seconds) if outcome.run else ""
    if outcome.figures is not None:
        return [outcome.stage, name, *_figures(outcome.figures), time, ""]
    if outcome.tried is not None:
        mean = per_cent(sum(outcome.tried.values()) / len(outcome.tried))
        return [outcome.stage, name, mean, "", time, plain_text(outcome.reason)]
    return [outcome.stage, name, "", "", time, plain_text(outcome.reason)]


def _figures(figures: Figures) -> list[str]:
    return [per_cent(figures.mean), f"{per_cent(figures.pooled)}, {figures.interval}"]
