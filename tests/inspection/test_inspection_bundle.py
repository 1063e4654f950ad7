"""Bundles: what they hold, and which folders are refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.explain_runs import make_run, recipe_of
from helpers.finished_runs import finished_run
from urbanpipe.ensembling import bundling
from urbanpipe.ensembling.bundle_options import BundleLabel, NetworkStorage
from urbanpipe.ensembling.bundling import Bundled, bundle
from urbanpipe.ensembling.model_card import model_card
from urbanpipe.errors import BundleError, RecipeError, RunError
from urbanpipe.inference.bundle import CARD, DEMONSTRATION, MANIFEST, METRICS, TAXONOMY, read_bundle, read_manifest
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inference.predict import predict
from urbanpipe.inspection.inspector import Inspector
from urbanpipe.methods.recipe import load_recipe, write_recipe
from urbanpipe.taxonomy import load_taxonomy

CPU = torch.device("cpu")


@pytest.mark.slow
def test_a_bundle_in_half_precision_says_nearly_the_same(frame_bundle: Path, tmp_path: Path, video: Path) -> None:
    half = bundle(
        finished_run(tmp_path / "run", "frame"), out=tmp_path / "half", storage=NetworkStorage(half=True)
    ).folder
    sizes = [next(folder.glob("members/*/fold0.safetensors")).stat().st_size for folder in (frame_bundle, half)]
    assert sizes[1] < 0.6 * sizes[0]
    one, other = (
        [f.score for f in Inspector.load(folder).inspect(video).inspection.findings] for folder in (frame_bundle, half)
    )
    np.testing.assert_allclose(one, other, atol=5e-3)


def test_the_card_of_the_demonstration_bundle_is_the_one_that_this_version_writes() -> None:
    metrics = json.loads((DEMONSTRATION / METRICS).read_text())
    card = model_card(read_manifest(DEMONSTRATION), load_taxonomy(DEMONSTRATION / TAXONOMY), metrics)
    assert (DEMONSTRATION / CARD).read_text() == card


class TestBundle:
    def test_it_says_what_it_is_and_how_good(self, tmp_path: Path) -> None:
        made = bundle(
            finished_run(tmp_path / "run", "frame"),
            out=tmp_path / "b",
            label=BundleLabel(name="mine", demonstration=True),
        )
        card = (made.folder / "MODEL_CARD.md").read_text()
        assert "# mine" in card
        assert "demonstration" in card
        assert f"{made.evaluation.scores.map_all * 100:.1f} %" in card
        metrics = json.loads((made.folder / "metrics.json").read_text())
        assert metrics["classes"]["CJ"]["ap"] == pytest.approx(made.evaluation.scores.ap[1], abs=1e-6)
        assert metrics["videos"] == 60
        with Image.open(made.folder / "reliability.png") as picture:
            assert min(picture.size) > 300

    @pytest.mark.parametrize(
        ("wanted", "computed", "kept"), [("auto", "bf16", "bf16"), ("auto", "fp32", "fp32"), ("bf16", "fp32", "bf16")]
    )
    def test_it_keeps_the_precision_that_auto_stood_for(
        self, tmp_path: Path, wanted: str, computed: str, kept: str
    ) -> None:
        run = finished_run(tmp_path / "run", "frame")
        write_recipe(recipe_of("frame", f"training.precision={wanted}"), run / "recipe.toml")
        known = json.loads((run / "environment.json").read_text())
        (run / "environment.json").write_text(json.dumps(known | {"precision": computed}))
        folder = bundle(run, out=tmp_path / "b").folder
        (recipe,) = folder.glob("members/*/recipe.toml")
        assert load_recipe(recipe).training.precision == kept

    @pytest.mark.slow
    def test_it_is_whole_without_the_run(self, tmp_path: Path, video: Path) -> None:
        bundle(finished_run(tmp_path / "run", "frame"), out=tmp_path / "b")
        shutil.rmtree(tmp_path / "run")
        (tmp_path / "b").rename(tmp_path / "elsewhere")
        assert Inspector.load(tmp_path / "elsewhere").inspect(video).inspection.findings

    @pytest.mark.slow
    def test_a_experiment_of_several_recipes_keeps_weights_and_rule(self, tmp_path: Path, video: Path) -> None:
        from urbanpipe.ensembling.ensemble import ensemble

        runs = [finished_run(tmp_path / name, name) for name in ("frame", "super-image")]
        ensemble(runs, out=tmp_path / "ensemble", weights=[0.25, 0.75])
        found = bundle(tmp_path / "ensemble", out=tmp_path / "b")
        read = read_bundle(found.folder, device="cpu", runtime="torch")
        assert [one.weight for one in read.models.members] == [0.25, 0.75]
        assert read.models.exclusive_threshold == 0.9
        plain = predict(
            tmp_path / "ensemble", [video], out=tmp_path / "p.json", workers=0, options=InferenceOptions(device="cpu")
        )
        scores = [one.score for one in Inspector.load(found.folder, "cpu").inspect(video).inspection.findings]
        np.testing.assert_allclose(scores, plain.predictions.scores[0], atol=2e-6)

    @pytest.mark.parametrize(
        "name", ["calibration.json", "taxonomy.toml", "members/0-frame/fold1.safetensors", "metrics.json"]
    )
    def test_a_changed_or_lost_file_is_named(self, name: str, frame_bundle: Path, tmp_path: Path) -> None:
        changed = Path(shutil.copytree(frame_bundle, tmp_path / "b"))
        with (changed / name).open("ab") as file:
            file.write(b" ")
        with pytest.raises(BundleError, match=f"{Path(name).name} is damaged or was changed"):
            read_bundle(changed, device="cpu", runtime="torch")
        (changed / name).unlink()
        with pytest.raises(BundleError, match=f"{Path(name).name} is missing from the bundle"):
            read_bundle(changed, device="cpu", runtime="torch")

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ('format = "urbanpipe bundle 2"', 'format = "urbanpipe bundle 7"', "has the format 'urbanpipe bundle 7'"),
            ("[files]", '[files]\n"../../etc/hosts" = "0"', "lies outside the bundle"),
            ("weight = 1.0", "weight = 2.0", "members.0.weight"),
            ("weight = 1.0", "weight = 0.5", "do not sum to 1"),
            ("[files]", '[files]\n"a\\u0000b" = "0"', "cannot be read"),
            ("format =", "format", "is damaged"),
        ],
    )
    def test_a_manifest_of_another_kind_is_refused(
        self, old: str, new: str, message: str, frame_bundle: Path, tmp_path: Path
    ) -> None:
        changed = Path(shutil.copytree(frame_bundle, tmp_path / "b"))
        text = (changed / MANIFEST).read_text()
        assert old in text
        (changed / MANIFEST).write_text(text.replace(old, new, 1))
        with pytest.raises(BundleError, match=message):
            read_bundle(changed, device="cpu", runtime="torch")

    def test_what_is_no_bundle_is_said(self, tmp_path: Path) -> None:
        run = finished_run(tmp_path / "run", "frame")
        with pytest.raises(BundleError, match="make a bundle of it with `urbanpipe bundle`"):
            read_bundle(run, device="cpu", runtime="torch")
        with pytest.raises(BundleError, match="is not a bundle"):
            read_bundle(tmp_path, device="cpu", runtime="torch")

    @pytest.mark.slow
    def test_members_of_one_name_stay_apart(self, tmp_path: Path, video: Path) -> None:
        from urbanpipe.ensembling.ensemble import ensemble

        runs = [finished_run(tmp_path / place / "same", name) for place, name in (("a", "frame"), ("b", "bag"))]
        ensemble(runs, out=tmp_path / "ensemble", weights=[0.5, 0.5])
        made = bundle(tmp_path / "ensemble", out=tmp_path / "bundle")
        plain = predict(
            tmp_path / "ensemble", [video], out=tmp_path / "p.json", workers=0, options=InferenceOptions(device="cpu")
        )
        scores = [one.score for one in Inspector.load(made.folder, "cpu").inspect(video).inspection.findings]
        np.testing.assert_allclose(scores, plain.predictions.scores[0], atol=2e-6)

    @pytest.mark.slow
    def test_a_killed_replacement_leaves_the_old_bundle(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run = finished_run(tmp_path / "run", "frame")
        bundle(run, out=tmp_path / "b", label=BundleLabel(name="old"))
        monkeypatch.setattr(bundling, "model_card", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            bundle(run, out=tmp_path / "b", label=BundleLabel(name="new"))
        monkeypatch.undo()
        assert read_bundle(tmp_path / "b", device="cpu", runtime="torch").manifest.name == "old"
        bundle(run, out=tmp_path / "b", label=BundleLabel(name="new"))
        assert read_bundle(tmp_path / "b", device="cpu", runtime="torch").manifest.name == "new"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "run"]

    def test_a_file_beside_a_checked_one_is_not_read_in_its_place(self, frame_bundle: Path, tmp_path: Path) -> None:
        changed = Path(shutil.copytree(frame_bundle, tmp_path / "b"))
        recipe = changed / "members" / "0-frame" / "recipe.toml"
        (recipe.parent / "recipe.toml.toml").write_text(recipe.read_text().replace('name = "frame"', 'name = "other"'))
        assert read_bundle(changed, device="cpu", runtime="torch").models.members[0].name == "frame"

    def test_a_recipe_cannot_name_files_of_the_backbone(self) -> None:
        with pytest.raises(RecipeError, match="checkpoint_path is not an option"):
            recipe_of("frame", 'model.options={checkpoint_path = "/etc/passwd"}')

    def test_only_a_cross_validated_model_can_be_calibrated(self, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        run = make_run(tmp_path / "run", recipe_of("frame"))
        with pytest.raises(RunError, match="was not cross-validated"):
            bundle(run, out=tmp_path / "b")
        assert not (tmp_path / "b").exists()

    @pytest.mark.slow
    def test_nothing_but_a_bundle_is_written_over(self, tmp_path: Path) -> None:
        run = finished_run(tmp_path / "run", "frame")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.txt").write_text("years")
        with pytest.raises(BundleError, match="exists and is not a bundle"):
            bundle(run, out=tmp_path / "mine")
        first = bundle(run, out=tmp_path / "b", label=BundleLabel(name="one"))
        again = bundle(run, out=tmp_path / "b", label=BundleLabel(name="two"))
        assert (first.folder, read_bundle(again.folder, device="cpu", runtime="torch").manifest.name) == (
            again.folder,
            "two",
        )


@pytest.mark.slow
def test_bundled_has_lines_for_people(tmp_path: Path) -> None:
    made: Bundled = bundle(finished_run(tmp_path / "run", "frame", videos=20), out=tmp_path / "b")
    text = "\n".join(made.lines())
    assert "2 networks" in text
    assert "every video needs review" in text
