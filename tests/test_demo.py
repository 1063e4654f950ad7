from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
from typer.testing import CliRunner

from urbanpipe.cli.main import app
from urbanpipe.contracts.findings import inspection_folders
from urbanpipe.demo import CLASSES, RECIPES, Demo, chance, demo
from urbanpipe.errors import OutputError
from urbanpipe.evaluation.average_precision import average_precision, score
from urbanpipe.methods.recipe import load_recipe
from urbanpipe.taxonomy import default_taxonomy

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_plots_of_folds")]

SMALL = {"videos": 20, "unseen": 8, "folds": 2}
QUICK = ("training.epochs=1", "training.workers=0", "input.tile=16", "input.rows=2", "input.columns=2")


@pytest.fixture(scope="module", autouse=True)
def _brief_videos() -> Iterator[None]:
    """Simulate shorter and smaller videos: drawing them takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("urbanpipe.demo.SECONDS", (1.0, 2.0))
        patch.setattr("urbanpipe.demo.SIZE", (160, 120))
        yield


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return demo(tmp_path_factory.mktemp("demo"), **SMALL, overrides=QUICK)


def test_every_step_leaves_its_result(done: Demo) -> None:
    out = done.experiment.folder
    assert done.experiment.ensemble == out / "ensemble"
    names = ["catalog.csv", "folds.csv", "predictions.json", "predictions.csv", "ensemble/table3.md"]
    names += [f"{recipe}/table6.md" for recipe in RECIPES]
    assert [name for name in names if not (out / name).is_file()] == []


def test_the_summary_has_the_simulated_classes_and_ends_with_the_means(done: Demo) -> None:
    first, second = (part.strip().splitlines()[2:] for part in done.summary.read_text().split("AP of ")[1:])
    for table in (first, second):
        rows = [line.split("|")[1].strip() for line in table[2:]]
        assert rows == [*(code for code in CLASSES if code in rows), "mAP"]
        assert len(rows) > 4
    assert [cell.strip() for cell in second[-1].split("|")[-3:-1]] == [
        f"{100 * done.chance:.1f}",
        f"{100 * done.learned:.1f}",
    ]


def test_run_again_it_goes_on_and_finds_the_same(done: Demo, capfd: pytest.CaptureFixture[str]) -> None:
    out = done.experiment.folder
    before = {name: (out / name).read_bytes() for name in ("predictions.json", "summary.md")}
    (out / "unseen" / "labels.json").unlink()  # as if interrupted while simulating
    (out / "predictions.json").unlink()
    again = demo(out, **SMALL, overrides=QUICK)
    assert (again.learned, again.chance) == (done.learned, done.chance)
    assert {name: (out / name).read_bytes() for name in before} == before
    assert "epoch" not in capfd.readouterr().err


def test_a_folder_of_another_demo_is_refused(done: Demo) -> None:
    with pytest.raises(OutputError, match="videos 20, unseen 8, folds 2, seed 0; give the same arguments"):
        demo(done.experiment.folder, **{**SMALL, "videos": 21}, overrides=QUICK)


def test_the_command_ends_with_learned_and_chance_and_where_it_is(done: Demo) -> None:
    options = [part for key, value in SMALL.items() for part in (f"--{key}", str(value))]
    sets = [part for setting in QUICK for part in ("--set", setting)]
    result = CliRunner().invoke(app, ["demo", "--out", str(done.experiment.folder), *options, *sets])
    assert result.exit_code == 0
    assert f"unseen videos: {100 * done.learned:.1f}; chance is {100 * done.chance:.1f}" in result.stdout
    *_, next_step, last = result.stdout.splitlines()
    assert next_step == f"decide on defects: urbanpipe review {done.inspected} --open"
    assert len(inspection_folders(done.inspected)) == 6
    assert last == f"results: {done.experiment.folder}"


def test_the_recipes_differ_in_backbone_and_start_from_random_weights() -> None:
    models = [load_recipe(name).model for name in RECIPES]
    assert len({model.backbone for model in models}) == len(RECIPES)
    assert {model.weights for model in models} == {"random"}


@pytest.mark.parametrize(("videos", "positives"), [(1, 1), (6, 1), (7, 3), (5, 5)])
def test_chance_is_the_mean_over_all_orders(videos: int, positives: int) -> None:
    falling = -np.arange(videos, dtype=float)
    places = [np.isin(np.arange(videos), chosen) for chosen in combinations(range(videos), positives)]
    wanted = np.mean([average_precision(falling, place) for place in places])
    taxonomy = default_taxonomy()
    targets = np.zeros((videos, len(taxonomy)), dtype=bool)
    targets[:positives, 3] = True
    found = chance(score(np.zeros(targets.shape), targets, taxonomy))
    assert found[3] == pytest.approx(wanted)
    assert np.isnan(np.delete(found, 3)).all()
