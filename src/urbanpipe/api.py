"""Every verb of the command line as a function of the same name and arguments.

    from urbanpipe.api import scan, folds, crossval

A function is imported from the room that owns it when it is first asked for, so importing this page costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from urbanpipe.catalog.audit import audit as audit
    from urbanpipe.catalog.folds import folds as folds
    from urbanpipe.catalog.scan import scan as scan
    from urbanpipe.demo import demo as demo
    from urbanpipe.ensembling.ensemble import ensemble as ensemble
    from urbanpipe.evaluation.evaluate import evaluate as evaluate
    from urbanpipe.evaluation.evaluate import evaluate_moments as evaluate_moments
    from urbanpipe.explain.explain import explain as explain
    from urbanpipe.inspection.bundling import bundle as bundle
    from urbanpipe.inspection.inspecting import inspect as inspect
    from urbanpipe.inspection.inspector import Inspector as Inspector
    from urbanpipe.inspection.moments import moments as moments
    from urbanpipe.inspection.predict import predict as predict
    from urbanpipe.pretraining.pretrain import pretrain as pretrain
    from urbanpipe.report.condition_report import condition as condition
    from urbanpipe.report.export import export as export
    from urbanpipe.reproduce.ablate import ablate as ablate
    from urbanpipe.reproduce.reproduce import reproduce as reproduce
    from urbanpipe.simulate.generator import simulate as simulate
    from urbanpipe.training.crossval import crossval as crossval
    from urbanpipe.training.recipe import shipped_recipes as recipes
    from urbanpipe.training.train import train as train

_HOMES = {
    "Inspector": "urbanpipe.inspection.inspector:Inspector",
    "ablate": "urbanpipe.reproduce.ablate:ablate",
    "audit": "urbanpipe.catalog.audit:audit",
    "bundle": "urbanpipe.inspection.bundling:bundle",
    "condition": "urbanpipe.report.condition_report:condition",
    "crossval": "urbanpipe.training.crossval:crossval",
    "demo": "urbanpipe.demo:demo",
    "ensemble": "urbanpipe.ensembling.ensemble:ensemble",
    "evaluate": "urbanpipe.evaluation.evaluate:evaluate",
    "evaluate_moments": "urbanpipe.evaluation.evaluate:evaluate_moments",
    "explain": "urbanpipe.explain.explain:explain",
    "export": "urbanpipe.report.export:export",
    "folds": "urbanpipe.catalog.folds:folds",
    "inspect": "urbanpipe.inspection.inspecting:inspect",
    "moments": "urbanpipe.inspection.moments:moments",
    "predict": "urbanpipe.inspection.predict:predict",
    "reproduce": "urbanpipe.reproduce.reproduce:reproduce",
    "pretrain": "urbanpipe.pretraining.pretrain:pretrain",
    "scan": "urbanpipe.catalog.scan:scan",
    "simulate": "urbanpipe.simulate.generator:simulate",
    "train": "urbanpipe.training.train:train",
    "recipes": "urbanpipe.training.recipe:shipped_recipes",
}

__all__ = [
    "Inspector",
    "ablate",
    "audit",
    "bundle",
    "condition",
    "crossval",
    "demo",
    "ensemble",
    "evaluate",
    "evaluate_moments",
    "explain",
    "export",
    "folds",
    "inspect",
    "moments",
    "predict",
    "pretrain",
    "recipes",
    "reproduce",
    "scan",
    "simulate",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"urbanpipe.api has no {name!r}; it has {', '.join(sorted(_HOMES))}")
    module, function = _HOMES[name].split(":")
    return getattr(import_module(module), function)
