"""Every verb of the command line as a function of the same name and arguments.

    from urbanpipe.api import scan, folds, crossval

A function is imported from the package that owns it on first use, so importing this module costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from urbanpipe.archive.inspect import inspect as inspect
    from urbanpipe.archive.shards.merge import archive_merge as archive_merge
    from urbanpipe.archive.shards.plan import archive_plan as archive_plan
    from urbanpipe.archive.shards.query import archive_query as archive_query
    from urbanpipe.archive.shards.run import archive_run as archive_run
    from urbanpipe.archive.shards.status import archive_status as archive_status
    from urbanpipe.archive.shards.video_report import archive_report as archive_report
    from urbanpipe.catalog.folds import folds as folds
    from urbanpipe.catalog.scan import scan as scan
    from urbanpipe.demo import demo as demo
    from urbanpipe.ensembling.bundling import bundle as bundle
    from urbanpipe.ensembling.ensemble import ensemble as ensemble
    from urbanpipe.evaluation.audit import audit as audit
    from urbanpipe.evaluation.evaluate import evaluate as evaluate
    from urbanpipe.evaluation.evaluate import evaluate_moments as evaluate_moments
    from urbanpipe.evaluation.evaluate import evaluate_run as evaluate_run
    from urbanpipe.explain.explain import explain as explain
    from urbanpipe.exports.condition_report import condition as condition
    from urbanpipe.exports.export import export as export
    from urbanpipe.hub.pull import hub_pull as hub_pull
    from urbanpipe.hub.push import hub_push as hub_push
    from urbanpipe.inference.predict import predict as predict
    from urbanpipe.inspection.inspector import Inspector as Inspector
    from urbanpipe.inspection.moments import moments as moments
    from urbanpipe.inspection.screen_text.propose import ocr as ocr
    from urbanpipe.maintenance.cache import cache_clear as cache_clear
    from urbanpipe.maintenance.cache import cache_show as cache_show
    from urbanpipe.maintenance.doctor import doctor as doctor
    from urbanpipe.methods.recipe import shipped_recipes as recipes
    from urbanpipe.models.published_weights import local_weights as weights
    from urbanpipe.models.published_weights import save_weights as save_weights
    from urbanpipe.pretraining.pretrain import pretrain as pretrain
    from urbanpipe.record.report import report as report
    from urbanpipe.reproduce.ablate import ablate as ablate
    from urbanpipe.reproduce.reproduce import reproduce as reproduce
    from urbanpipe.review.serve import review as review
    from urbanpipe.simulate.generator import simulate as simulate
    from urbanpipe.training.crossval import crossval as crossval
    from urbanpipe.training.train import train as train
    from urbanpipe.tuning.fitting import fit as fit

_HOMES = {
    "Inspector": "urbanpipe.inspection.inspector:Inspector",
    "ablate": "urbanpipe.reproduce.ablate:ablate",
    "archive_merge": "urbanpipe.archive.shards.merge:archive_merge",
    "archive_plan": "urbanpipe.archive.shards.plan:archive_plan",
    "archive_query": "urbanpipe.archive.shards.query:archive_query",
    "archive_report": "urbanpipe.archive.shards.video_report:archive_report",
    "archive_run": "urbanpipe.archive.shards.run:archive_run",
    "archive_status": "urbanpipe.archive.shards.status:archive_status",
    "audit": "urbanpipe.evaluation.audit:audit",
    "bundle": "urbanpipe.ensembling.bundling:bundle",
    "cache_clear": "urbanpipe.maintenance.cache:cache_clear",
    "cache_show": "urbanpipe.maintenance.cache:cache_show",
    "condition": "urbanpipe.exports.condition_report:condition",
    "crossval": "urbanpipe.training.crossval:crossval",
    "demo": "urbanpipe.demo:demo",
    "doctor": "urbanpipe.maintenance.doctor:doctor",
    "ensemble": "urbanpipe.ensembling.ensemble:ensemble",
    "evaluate": "urbanpipe.evaluation.evaluate:evaluate",
    "evaluate_moments": "urbanpipe.evaluation.evaluate:evaluate_moments",
    "evaluate_run": "urbanpipe.evaluation.evaluate:evaluate_run",
    "explain": "urbanpipe.explain.explain:explain",
    "export": "urbanpipe.exports.export:export",
    "fit": "urbanpipe.tuning.fitting:fit",
    "folds": "urbanpipe.catalog.folds:folds",
    "inspect": "urbanpipe.archive.inspect:inspect",
    "moments": "urbanpipe.inspection.moments:moments",
    "ocr": "urbanpipe.inspection.screen_text.propose:ocr",
    "predict": "urbanpipe.inference.predict:predict",
    "hub_pull": "urbanpipe.hub.pull:hub_pull",
    "hub_push": "urbanpipe.hub.push:hub_push",
    "report": "urbanpipe.record.report:report",
    "reproduce": "urbanpipe.reproduce.reproduce:reproduce",
    "pretrain": "urbanpipe.pretraining.pretrain:pretrain",
    "review": "urbanpipe.review.serve:review",
    "save_weights": "urbanpipe.models.published_weights:save_weights",
    "scan": "urbanpipe.catalog.scan:scan",
    "simulate": "urbanpipe.simulate.generator:simulate",
    "train": "urbanpipe.training.train:train",
    "recipes": "urbanpipe.methods.recipe:shipped_recipes",
    "weights": "urbanpipe.models.published_weights:local_weights",
}

__all__ = [
    "Inspector",
    "ablate",
    "archive_merge",
    "archive_plan",
    "archive_query",
    "archive_report",
    "archive_run",
    "archive_status",
    "audit",
    "bundle",
    "cache_clear",
    "cache_show",
    "condition",
    "crossval",
    "demo",
    "doctor",
    "ensemble",
    "evaluate",
    "evaluate_moments",
    "evaluate_run",
    "explain",
    "export",
    "fit",
    "folds",
    "hub_pull",
    "hub_push",
    "inspect",
    "moments",
    "ocr",
    "predict",
    "pretrain",
    "recipes",
    "report",
    "reproduce",
    "review",
    "save_weights",
    "scan",
    "simulate",
    "train",
    "weights",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"urbanpipe.api has no {name!r}; it has {', '.join(sorted(_HOMES))}")
    module, function = _HOMES[name].split(":")
    return getattr(import_module(module), function)


def __dir__() -> list[str]:
    return [*__all__]
