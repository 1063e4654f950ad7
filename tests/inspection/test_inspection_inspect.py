"""Bundles of random networks of every method, and what inspecting with them gives."""

import io
import json
import os
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from string import Formatter

import av
import numpy as np
import pytest
import torch
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from helpers.explain_runs import METHODS, TAXONOMY, make_run, make_video, recipe_of
from urbanpipe.archive import inspect as inspecting
from urbanpipe.archive.inspect import LOCKS, InspectedVideo, folder_name, inspect
from urbanpipe.catalog.scan import scan
from urbanpipe.cli.main import app
from urbanpipe.contracts import remarks
from urbanpipe.contracts.findings import TIMELINE, read_inspection, read_timeline
from urbanpipe.contracts.predictions import Predictions, write_predictions
from urbanpipe.contracts.remarks import sentence
from urbanpipe.decision.localization import MomentsConfig
from urbanpipe.ensembling import bundling
from urbanpipe.ensembling.bundling import Bundled, BundleLabel, bundle
from urbanpipe.errors import BundleError, CatalogError, InspectionError, RecipeError, RunError, VideoError
from urbanpipe.inference import predict as predicting
from urbanpipe.inference import scoring as forward
from urbanpipe.inference.bundle import DEMONSTRATION, MANIFEST, OOD, read_bundle
from urbanpipe.inference.ood import MIN_VIDEOS, fit_ood_detector, read_ood_detector, write_ood_detector
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inference.predict import predict
from urbanpipe.inference.prediction import VideoPrediction
from urbanpipe.inspection import inspector as inspector_module
from urbanpipe.inspection import video_pass as watching
from urbanpipe.inspection.evidence import intervals
from urbanpipe.inspection.evidence_buffer import APART_SECONDS, MOST, Candidate, EvidenceBuffer
from urbanpipe.inspection.inspector import Inspector
from urbanpipe.report.html import write_report
from urbanpipe.report.wording import all_texts

CPU = torch.device("cpu")
CLASSES = len(TAXONOMY)
FOLDS = 2


def finished_run(folder: Path, method: str, videos: int = 60) -> Path:
    """A cross-validation of random networks whose out-of-fold scores tell something of made-up labels."""
    folder.mkdir(parents=True)
    run = make_run(folder, recipe_of(method), tuple(range(FOLDS)))
    rng = np.random.default_rng(7)
    names = tuple(f"d{number}_1.mp4" for number in range(videos))
    targets = np.arange(videos)[:, None] % CLASSES == np.arange(CLASSES)
    targets |= rng.random(targets.shape) < 0.4
    scores = np.clip(0.3 * targets + 0.7 * rng.random(targets.shape), 0, 1)
    labels = {name: np.flatnonzero(row).tolist() for name, row in zip(names, targets, strict=True)}
    (run / "labels.json").write_text(json.dumps(labels))
    (run / "folds.csv").write_text("video,fold\n" + "".join(f"{n},{i % FOLDS}\n" for i, n in enumerate(names)))
    (run / "groups.csv").write_text("video,group\n" + "".join(f"{n},{n[:-6]}\n" for n in names))
    (run / "environment.json").write_text(json.dumps({"format": "urbanpipe run 2", "data": "made up"}))
    write_predictions(Predictions(names, scores), run / "out_of_fold.json", TAXONOMY)
    return run


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "pipe.mp4")


@pytest.fixture(scope="module")
def frame_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frame")
    return bundle(
        finished_run(folder / "run", "frame"), out=folder / "bundle", label=BundleLabel(demonstration=True)
    ).folder


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_bundled_and_inspects_as_it_predicts(method: str, tmp_path: Path, video: Path) -> None:
    run = finished_run(tmp_path / "run", method)
    made = bundle(run, out=tmp_path / "bundle")
    inspected = Inspector.load(made.folder, "cpu").inspect(video)
    plain = predict(
        run, [video], out=tmp_path / "p.json", workers=0, options=InferenceOptions(device="cpu")
    ).predictions.scores[0]
    findings = inspected.inspection.findings
    assert [one.code for one in findings] == list(TAXONOMY.codes)
    np.testing.assert_allclose([one.score for one in findings], plain, atol=2e-6)
    probabilities = made.judged.calibration.apply(plain[None])
    np.testing.assert_allclose([one.probability for one in findings], probabilities[0], atol=1e-4)
    assert [one.triage for one in findings] == made.judged.triage.decide(probabilities)[0].tolist()
    timed = recipe_of(method).input.many_segments
    assert (inspected.inspection.timeline is not None) == timed
    shown = [one for one in findings if one.triage != "reject" and one.code != "ZC" and one.score > 0.02]
    assert shown
    for one in shown:
        assert one.occurrences, one.code
        assert all(0 <= s.begin_seconds <= s.seconds <= s.end_seconds <= 4.0 for s in one.occurrences)
        assert any(s.evidence for s in one.occurrences), one.code
    for one in findings:
        if one.triage == "reject" or one.code == "ZC":
            assert not one.occurrences


def test_evidence_are_the_very_frames_with_heat_of_their_shape(frame_bundle: Path, video: Path, tmp_path: Path) -> None:
    inspected = Inspector.load(frame_bundle).inspect(video)
    evidence = [e for f in inspected.findings for s in f.occurrences for e in s.evidence]
    assert evidence
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for one in evidence:
        picture = np.asarray(Image.open(io.BytesIO(inspected.pictures[one.picture])), np.int16)
        assert np.abs(picture - frames[one.frame]).mean() < 4
        assert one.seconds == pytest.approx(one.frame / 10)
        if one.heat:
            heat = Image.open(io.BytesIO(inspected.pictures[one.heat])).convert("RGBA")
            assert heat.width / heat.height == pytest.approx(2.0, abs=0.02)
            assert one.hottest
            x, y = one.hottest
            alpha = np.asarray(heat)[..., 3].astype(float)
            assert alpha[int(y * heat.height), int(x * heat.width)] >= 0.8 * alpha.max()
    assert any(one.heat for one in evidence)
    folder = tmp_path / "out"
    written = inspected.write(folder)
    assert read_inspection(folder) == written.model_copy(update={"timeline": None})
    assert read_timeline(folder) == written.timeline
    assert {path.name for path in folder.iterdir()} == {"findings.json", "timeline.json", *inspected.pictures}
    assert (folder / written.video.relative).resolve() == video.resolve()


def test_a_bundle_in_half_precision_says_nearly_the_same(frame_bundle: Path, tmp_path: Path, video: Path) -> None:
    half = bundle(finished_run(tmp_path / "run", "frame"), out=tmp_path / "half", half=True).folder
    sizes = [next(folder.glob("members/*/fold0.safetensors")).stat().st_size for folder in (frame_bundle, half)]
    assert sizes[1] < 0.6 * sizes[0]
    one, other = (
        [f.score for f in Inspector.load(folder).inspect(video).inspection.findings] for folder in (frame_bundle, half)
    )
    np.testing.assert_allclose(one, other, atol=5e-3)


def test_a_class_that_was_never_learnt_is_not_looked_for_and_the_report_says_so(tmp_path: Path, video: Path) -> None:
    run = finished_run(tmp_path / "run", "frame")
    labels = json.loads((run / "labels.json").read_text())
    unknown = TAXONOMY.index("TL")
    (run / "labels.json").write_text(json.dumps({k: [i for i in v if i != unknown] for k, v in labels.items()}))
    inspection = Inspector.load(bundle(run, out=tmp_path / "bundle").folder).inspect(video).inspection
    assert inspection.findings[unknown].triage == "reject"
    (remark,) = (one for one in inspection.remarks if one.kind == "other")
    assert "no training examples of TL" in remark.text
    rejected = [
        one.model_copy(update={"triage": "reject", "occurrences": ()}) if one.code == "CJ" else one
        for one in inspection.findings
    ]
    page = write_report(inspection.model_copy(update={"findings": tuple(rejected)}), tmp_path, "en").read_text()
    promised = page[page.index('class="others"') :]
    assert ">CJ<" in promised
    assert ">TL<" not in promised


def test_what_was_read_in_a_video_is_forgotten_with_it(
    frame_bundle: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = Inspector.load(frame_bundle)
    sizes = []
    for _ in range(2):
        inspector.inspect(video)
        sizes.append(len(inspector._showing._read))
        inspector._showing._read[object()] = None  # type: ignore[index]
    assert sizes[0] == sizes[1]


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
        assert f"{made.judged.scores.map_all * 100:.1f} %" in card
        metrics = json.loads((made.folder / "metrics.json").read_text())
        assert metrics["classes"]["CJ"]["ap"] == pytest.approx(made.judged.scores.ap[1], abs=1e-6)
        assert metrics["videos"] == 60
        with Image.open(made.folder / "reliability.png") as picture:
            assert min(picture.size) > 300

    def test_it_is_whole_without_the_run(self, tmp_path: Path, video: Path) -> None:
        bundle(finished_run(tmp_path / "run", "frame"), out=tmp_path / "b")
        shutil.rmtree(tmp_path / "run")
        (tmp_path / "b").rename(tmp_path / "elsewhere")
        assert Inspector.load(tmp_path / "elsewhere").inspect(video).inspection.findings

    def test_a_experiment_of_several_recipes_keeps_weights_and_rule(self, tmp_path: Path, video: Path) -> None:
        from urbanpipe.ensembling.ensemble import ensemble

        runs = [finished_run(tmp_path / name, name) for name in ("frame", "super-image")]
        ensemble(runs, out=tmp_path / "ensemble", weights=[0.25, 0.75])
        found = bundle(tmp_path / "ensemble", out=tmp_path / "b")
        read = read_bundle(found.folder, CPU)
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
        with pytest.raises(BundleError, match=f"{Path(name).name} is not as the bundle was made"):
            read_bundle(changed, CPU)
        (changed / name).unlink()
        with pytest.raises(BundleError, match=f"{Path(name).name} is missing from the bundle"):
            read_bundle(changed, CPU)

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
            read_bundle(changed, CPU)

    def test_what_is_no_bundle_is_said(self, tmp_path: Path) -> None:
        run = finished_run(tmp_path / "run", "frame")
        with pytest.raises(BundleError, match="make a bundle of it with `urbanpipe bundle`"):
            read_bundle(run, CPU)
        with pytest.raises(BundleError, match="is no bundle"):
            read_bundle(tmp_path, CPU)

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

    def test_a_killed_replacement_leaves_the_old_bundle(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run = finished_run(tmp_path / "run", "frame")
        bundle(run, out=tmp_path / "b", label=BundleLabel(name="old"))
        monkeypatch.setattr(bundling, "model_card", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            bundle(run, out=tmp_path / "b", label=BundleLabel(name="new"))
        monkeypatch.undo()
        assert read_bundle(tmp_path / "b", CPU).manifest.name == "old"
        bundle(run, out=tmp_path / "b", label=BundleLabel(name="new"))
        assert read_bundle(tmp_path / "b", CPU).manifest.name == "new"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "run"]

    def test_a_file_beside_a_checked_one_is_not_read_in_its_place(self, frame_bundle: Path, tmp_path: Path) -> None:
        changed = Path(shutil.copytree(frame_bundle, tmp_path / "b"))
        recipe = changed / "members" / "0-frame" / "recipe.toml"
        (recipe.parent / "recipe.toml.toml").write_text(recipe.read_text().replace('name = "frame"', 'name = "other"'))
        assert read_bundle(changed, CPU).models.members[0].name == "frame"

    def test_a_recipe_cannot_name_files_of_the_backbone(self) -> None:
        with pytest.raises(RecipeError, match="checkpoint_path is no option"):
            recipe_of("frame", 'model.options={checkpoint_path = "/etc/passwd"}')

    def test_only_a_cross_validated_model_can_be_calibrated(self, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        run = make_run(tmp_path / "run", recipe_of("frame"))
        with pytest.raises(RunError, match="was not cross-validated"):
            bundle(run, out=tmp_path / "b")
        assert not (tmp_path / "b").exists()

    def test_nothing_but_a_bundle_is_written_over(self, tmp_path: Path) -> None:
        run = finished_run(tmp_path / "run", "frame")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.txt").write_text("years")
        with pytest.raises(BundleError, match="is there and is no bundle"):
            bundle(run, out=tmp_path / "mine")
        first = bundle(run, out=tmp_path / "b", label=BundleLabel(name="one"))
        again = bundle(run, out=tmp_path / "b", label=BundleLabel(name="two"))
        assert (first.folder, read_bundle(again.folder, CPU).manifest.name) == (again.folder, "two")


class TestOutOfDistribution:
    def test_out_of_distribution_videos_are_remarked(self, tmp_path: Path) -> None:
        """Known videos are grey noise of some brightness; the ood one is of strong colours."""
        run = finished_run(tmp_path / "run", "frame")
        folder = tmp_path / "videos"
        folder.mkdir()
        rng = np.random.default_rng(3)
        for number in range(60):
            noisy_video(folder / f"d{number}_1.mp4", rng, colour=False)
        noisy_video(tmp_path / "known.mp4", rng, colour=False)
        noisy_video(tmp_path / "out_of_distribution.mp4", rng, colour=True)
        scan(folder, out=tmp_path / "catalog.csv")
        made = bundle(run, out=tmp_path / "bundle", data=tmp_path / "catalog.csv")
        assert OOD in read_bundle(made.folder, CPU).manifest.files
        inspector = Inspector.load(made.folder)
        kinds = {
            name: [one.kind for one in inspector.inspect(tmp_path / f"{name}.mp4").inspection.remarks]
            for name in ("known", "out_of_distribution")
        }
        assert "out_of_distribution" in kinds["out_of_distribution"]
        assert "out_of_distribution" not in kinds["known"]

    @pytest.mark.parametrize("width", [8, 24, 32, 33, 500])
    def test_features_of_any_width_are_told_apart_also_when_read_back(self, width: int, tmp_path: Path) -> None:
        rng = np.random.default_rng(width)
        low = rng.normal(size=(10, width))  # features of a low rank

        def features(count: int) -> NDArray[np.float64]:
            found: NDArray[np.float64] = rng.normal(size=(count, 10)) @ low
            return found

        ood = fit_ood_detector([features(200)] * 2, [features(199)] * 2)
        write_ood_detector(ood, tmp_path / "f.safetensors")
        read = read_ood_detector(tmp_path / "f.safetensors")
        alarms = np.mean([read.score([one, one]) > read.threshold for one in features(1000)])
        assert alarms < 0.04
        away = 10 * np.abs(low).max() * rng.normal(size=(50, width))
        near = features(50)
        assert np.mean([read.score([n, one]) > read.threshold for n, one in zip(near, away, strict=True)]) > 0.9
        with pytest.raises(BundleError, match="wide"):
            read.score([np.zeros(width + 1)] * 2)

    def test_false_alarms_are_as_rare_as_promised_with_few_videos_and_two_features(self) -> None:
        rng = np.random.default_rng(0)
        alarms = []
        for _ in range(150):
            known, unseen, new = ([rng.normal(size=(count, 6)) for _ in range(2)] for count in (60, MIN_VIDEOS, 40))
            ood = fit_ood_detector(known, unseen)
            alarms += [ood.score(pair) > ood.threshold for pair in zip(*new, strict=True)]
        assert np.mean(alarms) < 1.25 / (MIN_VIDEOS + 1)

    def test_another_catalog_is_refused(self, tmp_path: Path) -> None:
        run = finished_run(tmp_path / "run", "frame")
        (tmp_path / "c.csv").write_text("name,path,status,group,labels\nother.mp4,other.mp4,ok,other,\n")
        with pytest.raises(BundleError, match="has trained on; give its catalog"):
            bundle(run, out=tmp_path / "b", data=tmp_path / "c.csv")


def noisy_video(
    path: Path, rng: np.random.Generator, colour: bool, frames: int = 6, size: int = 64, brightest: int = 255
) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5, options={"qp": "20"})
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        level = rng.integers(60, 180)
        for _ in range(frames):
            grey = np.clip(rng.normal(level, 25, (size // 8, size // 8, 1)).repeat(3, 2), 0, 255)
            squares = rng.choice([0, brightest], grey.shape) if colour else grey
            pixels = squares.repeat(8, 0).repeat(8, 1).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())


def spoilt_video(path: Path, frames: int = 100) -> None:
    """Ten frames a second, each brighter than the last; six packets in the middle are random bytes."""
    rng = np.random.default_rng(5)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": "10", "g": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(frames):
            pixels = np.full((64, 64, 3), number * 2 + 30, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for position, size in packets[51:57]:
        assert position is not None
        data[position + 5 : position + size] = rng.integers(0, 256, size - 5, dtype=np.uint8).tobytes()
    path.write_bytes(data)


class TestInspect:
    def test_a_folder_gets_reports_and_goes_on_where_it_was(
        self, frame_bundle: Path, video: Path, tmp_path: Path
    ) -> None:
        source = tmp_path / "in"
        source.mkdir()
        for name in ("a.mp4", "b c<d>.mp4"):
            shutil.copy(video, source / name)
        (source / "broken.mp4").write_bytes(b"no video at all")
        out = source / "results"
        first = inspect([source], out=out, bundle=frame_bundle)
        assert [one.name for one in first.videos] == ["a.mp4", "b c<d>.mp4", "broken.mp4"]
        assert list(first.failures) == ["broken.mp4"]
        assert "broken.mp4" in (out / "failures.csv").read_text()
        assert all((one.folder / "report.html").is_file() for one in first.videos if not one.failure)
        assert "broken.mp4" in first.index.read_text()
        stamps = {path: path.stat().st_mtime_ns for path in out.glob("*/*.jpg")}
        (first.videos[1].folder / "findings.json").write_text("{")
        again = inspect([source], out=out, bundle=frame_bundle)
        assert [one.reused for one in again.videos] == [True, False, False]
        assert all(
            path.stat().st_mtime_ns == at for path, at in stamps.items() if path.parent == first.videos[0].folder
        )

    def test_a_moved_video_is_found_again_by_the_report(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        (tmp_path / "one").mkdir()
        (tmp_path / "two").mkdir()
        first = Path(shutil.copy(video, tmp_path / "one" / "a.mp4"))
        inspect([first], out=tmp_path / "out", bundle=frame_bundle)
        second = first.rename(tmp_path / "two" / "a.mp4")
        (again,) = inspect([second], out=tmp_path / "out", bundle=frame_bundle).videos
        assert again.reused
        assert read_inspection(again.folder).video.relative == "../../two/a.mp4"

    def test_a_name_that_is_no_text_is_inspected_too(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        odd = tmp_path / os.fsdecode(b"b\xff.mp4")
        shutil.copy(video, odd)
        (found,) = inspect([odd], out=tmp_path / "out", bundle=frame_bundle).videos
        assert found.inspection.video.name == "b\\xff.mp4"
        assert found.inspection.video.relative == ""
        assert inspect([odd], out=tmp_path / "out", bundle=frame_bundle).videos[0].reused

    def test_videos_of_one_name_from_two_folders_do_not_replace_each_other(
        self, frame_bundle: Path, video: Path, tmp_path: Path
    ) -> None:
        for number in (1, 2):
            (tmp_path / f"d{number}").mkdir()
            noisy_video(tmp_path / f"d{number}" / "cam.mp4", np.random.default_rng(number), colour=False)
        found = [
            inspect([tmp_path / f"d{n}"], out=tmp_path / "out", bundle=frame_bundle).videos[0] for n in (1, 2, 1, 2)
        ]
        assert len({one.folder for one in found}) == 2
        assert [one.reused for one in found] == [False, False, True, True]
        assert {one.inspection.video.path for one in found} == {str(p) for p in tmp_path.glob("d*/cam.mp4")}

    def test_videos_that_cannot_be_read_now_lose_nothing(
        self, frame_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A share that is away while a job goes on, and a namesake on one that is away."""
        for number in (1, 2):
            (tmp_path / f"d{number}").mkdir()
            noisy_video(tmp_path / f"d{number}" / "cam.mp4", np.random.default_rng(number), colour=False)
        out = tmp_path / "out"
        (first,) = inspect([tmp_path / "d1"], out=out, bundle=frame_bundle).videos
        before = {path.name: path.read_bytes() for path in first.folder.iterdir()}

        def away(path: Path) -> str:
            raise VideoError(path, "Input/output error")

        monkeypatch.setattr(inspecting, "digest_of", away)
        for number in (1, 2):
            found = inspect([tmp_path / f"d{number}"], out=out, bundle=frame_bundle)
            assert found.failures == {"cam.mp4": "Input/output error"}
            assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before
        monkeypatch.undo()
        monkeypatch.setattr(Inspector, "inspect", lambda _self, path, digest: away(path))
        monkeypatch.setattr(inspecting, "_is_done", lambda *_: False)  # as with another region for the distance
        assert inspect([tmp_path / "d1"], out=out, bundle=frame_bundle).failures
        assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before

    def test_an_archived_video_keeps_its_inspection_beside_a_new_one_of_its_name(
        self, frame_bundle: Path, tmp_path: Path
    ) -> None:
        for number in (1, 2):
            (tmp_path / f"d{number}").mkdir()
            noisy_video(tmp_path / f"d{number}" / "cam.mp4", np.random.default_rng(number), colour=False)
        (first,) = inspect([tmp_path / "d1"], out=tmp_path / "out", bundle=frame_bundle).videos
        digest = first.inspection.video.digest
        (tmp_path / "d1" / "cam.mp4").unlink()
        (second,) = inspect([tmp_path / "d2"], out=tmp_path / "out", bundle=frame_bundle).videos
        assert second.folder != first.folder
        assert first.inspection.video.digest == digest

    def test_a_video_keeps_its_inspection_when_its_name_becomes_one_of_several(
        self, frame_bundle: Path, tmp_path: Path
    ) -> None:
        for number in (1, 2):
            (tmp_path / "archive" / f"d{number}").mkdir(parents=True)
        noisy_video(tmp_path / "archive" / "d1" / "cam.mp4", np.random.default_rng(1), colour=False)
        (first,) = inspect([tmp_path / "archive"], out=tmp_path / "out", bundle=frame_bundle).videos
        noisy_video(tmp_path / "archive" / "d2" / "cam.mp4", np.random.default_rng(2), colour=False)
        both = inspect([tmp_path / "archive"], out=tmp_path / "out", bundle=frame_bundle).videos
        assert [(one.name, one.reused) for one in both] == [("d1/cam.mp4", True), ("d2/cam.mp4", False)]
        assert both[0].folder == first.folder
        assert len(list((tmp_path / "out").glob("*/findings.json"))) == 2

    def test_a_video_that_is_replaced_leaves_nothing_of_the_old_one(
        self, frame_bundle: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also where the call is killed between the pictures and the findings, and where the new file is no video."""
        path, out = tmp_path / "a.mp4", tmp_path / "out"
        shutil.copy(video, path)
        folder = inspect([path], out=out, bundle=frame_bundle).videos[0].folder
        old = {one.name for one in folder.glob("*.jpg")}
        assert old
        (folder / "mine.jpg").write_bytes(b"a person's")
        noisy_video(path, np.random.default_rng(0), colour=True)
        monkeypatch.setattr(inspector_module, "write_inspection", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            inspect([path], out=out, bundle=frame_bundle)
        monkeypatch.undo()
        assert not (folder / "findings.json").exists()
        assert not (folder / "report.html").exists()
        (again,) = inspect([path], out=out, bundle=frame_bundle).videos
        shown = {e.picture for f in again.inspection.findings for s in f.occurrences for e in s.evidence}
        assert {one.name for one in folder.glob("*.jpg")} == shown | {"mine.jpg"}
        path.write_bytes(b"no video")
        assert inspect([path], out=out, bundle=frame_bundle).failures
        assert [one.name for one in folder.iterdir()] == ["mine.jpg"]

    def test_a_lost_picture_is_made_again(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        (first,) = inspect([video], out=tmp_path / "out", bundle=frame_bundle).videos
        next(iter(first.folder.glob("*.jpg"))).unlink()
        assert not inspect([video], out=tmp_path / "out", bundle=frame_bundle).videos[0].reused

    def test_failures_of_earlier_calls_are_kept(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        (tmp_path / "bad.mp4").write_bytes(b"x")
        inspect([tmp_path / "bad.mp4"], out=tmp_path / "out", bundle=frame_bundle)
        made = inspect([video], out=tmp_path / "out", bundle=frame_bundle)
        assert not made.failures
        assert "bad.mp4" in (tmp_path / "out" / "failures.csv").read_text()
        assert "bad.mp4" in made.index.read_text()

    def test_a_video_that_another_process_inspects_comes_last(
        self, frame_bundle: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other, out, names = Path(shutil.copy(video, tmp_path / "other.mp4")), tmp_path / "out", list[str]()
        (locks := out / LOCKS).mkdir(parents=True)
        held = FileLock(locks / f"{folder_name(video.name)}.lock", thread_local=False)
        held.acquire()

        def note(done: InspectedVideo) -> None:
            names.append(done.name)
            held.release()

        made = inspect([video, other], out=out, bundle=frame_bundle, say=note)
        assert names == ["other.mp4", video.name]
        assert not made.failures
        assert read_inspection(out / folder_name(video.name)).video.name == video.name

    def test_findings_of_an_earlier_version_are_named(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        (made,) = inspect([video], out=tmp_path / "out", bundle=frame_bundle).videos
        path = made.folder / "findings.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"format": "urbanpipe inspection 1"}))
        with pytest.raises(InspectionError, match=r"has the format .urbanpipe inspection 1..*make it again with"):
            read_inspection(made.folder)

    def test_a_lost_timeline_is_made_again(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        (first,) = inspect([video], out=tmp_path / "out", bundle=frame_bundle).videos
        (first.folder / TIMELINE).unlink()
        assert not inspect([video], out=tmp_path / "out", bundle=frame_bundle).videos[0].reused
        assert read_timeline(first.folder).seconds

    def test_another_bundles_folder_is_refused(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        inspect([video], out=tmp_path / "out", bundle=frame_bundle)
        other = bundle(
            finished_run(tmp_path / "run", "bag"), out=tmp_path / "other", label=BundleLabel(name="other")
        ).folder
        with pytest.raises(InspectionError, match="holds inspections by another bundle"):
            inspect([video], out=tmp_path / "out", bundle=other)

    def test_mistakes_are_said_before_the_work(self, frame_bundle: Path, video: Path, tmp_path: Path) -> None:
        with pytest.raises(InspectionError, match="xx"):
            inspect([video], out=tmp_path / "out", bundle=frame_bundle, language="xx")
        with pytest.raises(CatalogError, match="missing"):
            inspect([tmp_path / "no.mp4"], out=tmp_path / "out", bundle=frame_bundle)
        with pytest.raises(CatalogError, match="which is for results"):
            inspect([video], out=video.parent, bundle=frame_bundle)
        with pytest.raises(VideoError, match="no such file"):
            Inspector.load(frame_bundle).inspect(tmp_path / "no.mp4")

    def test_the_command_prints_findings_and_tells_bad_videos_by_its_status(
        self, frame_bundle: Path, video: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "bad.mp4").write_bytes(b"")
        arguments = ["inspect", str(video), str(tmp_path / "bad.mp4"), "--out", str(tmp_path / "o")]
        result = CliRunner().invoke(app, [*arguments, "--bundle", str(frame_bundle)])
        assert result.exit_code == 3, result.output
        assert "pipe.mp4: " in result.output
        assert "bad.mp4: cannot be inspected" in result.output
        assert "demonstration" in result.output


@pytest.mark.parametrize("name", ["a.mp4", "d1-2_3.mp4", "站点_1.mp4"])
def test_plain_names_are_folders(name: str) -> None:
    assert folder_name(name) == name


def test_names_that_break_paths_or_are_alike_get_folders_of_their_own() -> None:
    names = ["a/b.mp4", "a_b.mp4", "A_B.mp4", "..", "<i>.mp4", "x" * 300, 'q"?.mp4', "./a.mp4", "a.mp4", "b\\xff.mp4"]
    folders = [folder_name(name) for name in names]
    assert len({folder.casefold() for folder in folders}) == len(names)
    for folder in folders:
        assert not set('/\\<>:"|?*') & set(folder)
        assert folder.strip(".")
        assert len(folder) < 100


class TestIntervals:
    TIMES = np.arange(0, 60, 0.5)

    def bump(self, at: float, height: float) -> NDArray[np.float64]:
        found: NDArray[np.float64] = height * np.exp(-(((self.TIMES - at) / 3) ** 2))
        return found

    def test_peaks_half_as_high_as_the_best_are_moments(self) -> None:
        scores = self.bump(10, 0.8) + self.bump(30, 0.5) + self.bump(50, 0.2)
        found = intervals(self.TIMES, scores, MomentsConfig())
        assert [one.seconds for one in found] == [10, 30]
        assert found[0].begin == pytest.approx(10 - 3 * np.sqrt(np.log(2)), abs=0.5)
        assert found[0].end == pytest.approx(10 + 3 * np.sqrt(np.log(2)), abs=0.5)

    def test_stretches_of_near_peaks_part_at_the_lowest_place_between_them(self) -> None:
        scores = np.maximum(self.bump(10, 0.9), np.maximum(self.bump(40, 0.6), 0.33))
        first, second = intervals(self.TIMES, scores, MomentsConfig())
        assert (first.seconds, second.seconds) == (10, 40)
        assert 10 < first.end <= second.begin < 40

    def test_what_is_seen_all_the_time_is_one_stretch(self) -> None:
        (found, *_) = intervals(self.TIMES, np.full(len(self.TIMES), 0.7), MomentsConfig())
        assert (found.begin, found.end) == (0, 59.5)

    def test_nothing_is_no_moment(self) -> None:
        assert intervals(self.TIMES, np.zeros(len(self.TIMES)), MomentsConfig()) == []


def test_candidates_are_few_apart_and_the_best() -> None:
    rng = np.random.default_rng(0)
    times, scores = np.arange(0, 1000, 1.0), rng.random(1000)
    kept = EvidenceBuffer([0])
    for at, score in zip(times, scores, strict=True):
        row = np.array([score])
        if labels := kept.wants(float(at), row):
            kept.add(Candidate(float(at), row, np.zeros(1, np.uint8), 1, ()), labels)
    found = kept.between(0, 0, 1000)
    assert len(found) == MOST
    assert found[0].scores[0] == scores.max()
    apart = np.diff(np.sort([one.seconds for one in found]))
    assert apart.min() >= APART_SECONDS
    assert min(one.scores[0] for one in found) > np.quantile(scores, 0.9)


def test_memory_does_not_grow_with_the_length(
    frame_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a video ten times as long no more pictures are held."""
    held: list[int] = []
    most = 0
    original = watching._Part.push

    def push(self: watching._Part, number: int, picture: NDArray[np.uint8]) -> None:
        nonlocal most
        original(self, number, picture)
        most = max(most, len(self.segments._held) + sum(len(shown) for *_, shown in self.waiting))

    monkeypatch.setattr(watching._Part, "push", push)
    rng = np.random.default_rng(1)
    for frames in (150, 1500):
        noisy_video(tmp_path / f"{frames}.mp4", rng, colour=False, frames=frames)
        most = 0
        Inspector.load(frame_bundle).inspect(tmp_path / f"{frames}.mp4")
        held.append(most)
    assert held[0] == held[1]


def test_bundled_has_lines_for_people(tmp_path: Path) -> None:
    made: Bundled = bundle(finished_run(tmp_path / "run", "frame", videos=20), out=tmp_path / "b")
    text = "\n".join(made.lines())
    assert "2 networks" in text
    assert "every video is to be looked at" in text


def test_remarks_have_the_same_places_in_every_language() -> None:
    texts = tomllib.loads((Path(remarks.__file__).with_suffix(".toml")).read_text(encoding="utf-8"))
    places = {
        language: {key: sorted(name for _, name, _, _ in Formatter().parse(text) if name) for key, text in said.items()}
        for language, said in texts.items()
    }
    assert places["zh"].keys() == places["en"].keys()
    assert all(set(found) <= set(places["en"][key]) for key, found in places["zh"].items())
    assert set(places) == set(all_texts())


class TestRemarks:
    """What is said of videos that are not as they should be."""

    def kinds(self, bundle_folder: Path, path: Path) -> dict[str, str]:
        inspection = Inspector.load(bundle_folder).inspect(path).inspection
        for one in inspection.remarks:
            assert one.key
            assert sentence(one, "en") == one.text
            assert sentence(one, "zh") not in ("", one.text)
            assert all(value in sentence(one, "zh") for key, value in one.values.items() if key != "damage")
        return {one.kind: one.text for one in inspection.remarks}

    def test_a_sound_video_has_none(self, frame_bundle: Path, video: Path) -> None:
        assert self.kinds(frame_bundle, video) == {}

    def test_dark(self, frame_bundle: Path, tmp_path: Path) -> None:
        noisy_video(tmp_path / "dark.mp4", np.random.default_rng(0), colour=True, frames=20, brightest=30)
        assert "100% of the frames are too dark" in self.kinds(frame_bundle, tmp_path / "dark.mp4")["dark"]

    def test_short(self, frame_bundle: Path, tmp_path: Path) -> None:
        noisy_video(tmp_path / "short.mp4", np.random.default_rng(0), colour=False, frames=2)
        assert "lasts 0.40 s only" in self.kinds(frame_bundle, tmp_path / "short.mp4")["short"]

    def test_a_size_that_changes_in_mid_file(self, frame_bundle: Path, tmp_path: Path) -> None:
        parts = [tmp_path / "a.ts", tmp_path / "b.ts"]
        for part, size in zip(parts, (64, 96), strict=True):
            noisy_video(part, np.random.default_rng(0), colour=False, frames=10, size=size)
        (tmp_path / "both.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
        assert "64x64, 96x96" in self.kinds(frame_bundle, tmp_path / "both.ts")["size"]

    def test_cut_off(self, frame_bundle: Path, tmp_path: Path) -> None:
        noisy_video(tmp_path / "whole.mkv", np.random.default_rng(0), colour=True, frames=60)
        data = (tmp_path / "whole.mkv").read_bytes()
        (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 6 // 10])
        assert "cut off" in self.kinds(frame_bundle, tmp_path / "cut.mkv")["cut"]

    @pytest.mark.parametrize("method", ["frame", "dense-super-image", "super-image", "bag"])
    def test_corrupt_data_in_mid_file(self, method: str, tmp_path: Path) -> None:
        """Frames are as bright as their number is high, so that evidence can be held against what it shows."""
        made = bundle(finished_run(tmp_path / "run", method), out=tmp_path / "bundle")
        spoilt_video(tmp_path / "spoilt.mp4")
        inspected = Inspector.load(made.folder).inspect(tmp_path / "spoilt.mp4")
        texts = [one.text for one in inspected.inspection.remarks if one.kind == "damaged"]
        sees_it = method != "super-image"  # six frames of which none is spoilt
        assert [text.endswith("affected by corrupt data.") for text in texts] == [True] * sees_it
        for finding in inspected.findings:
            for evidence in (one for occurrence in finding.occurrences for one in occurrence.evidence):
                picture = np.asarray(Image.open(io.BytesIO(inspected.pictures[evidence.picture])).convert("L"))
                assert evidence.picture == f"frame-{evidence.frame:06d}.jpg"
                assert evidence.seconds == pytest.approx(evidence.frame / 10)
                if np.ptp(picture) < 12:  # not itself a broken picture
                    assert abs(float(np.median(picture)) - (evidence.frame * 2 + 30)) < 10

    def test_no_video_stream(self, frame_bundle: Path, tmp_path: Path) -> None:
        with av.open(str(tmp_path / "sound.mp4"), "w") as container:
            stream = container.add_stream("aac", rate=8000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
            frame.rate = 8000
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
        with pytest.raises(VideoError, match=r"sound\.mp4: .*(sound|picture|video)"):
            Inspector.load(frame_bundle).inspect(tmp_path / "sound.mp4")


def test_the_demonstration_bundle_comes_with_the_package(video: Path) -> None:
    inspector = Inspector.load()
    assert inspector.bundle.manifest.demonstration
    assert inspector.bundle.ood
    assert (inspector.bundle.triage.positives > 0).all()
    inspection = inspector.inspect(video).inspection
    assert inspection.bundle.demonstration
    assert "out_of_distribution" in {one.kind for one in inspection.remarks}, "squares of colour are no pipe"


def test_the_example_of_the_page_runs(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "inspect.md").read_text(encoding="utf-8")
    lines = page.split("## In Python")[1].splitlines()
    code = "\n".join(line.removeprefix("    ") for line in lines if line.startswith("    "))
    assert 'Inspector.load("bundle")' in code
    shutil.copytree(DEMONSTRATION, tmp_path / "bundle")
    shutil.copy(video, tmp_path / "video.mp4")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert read_inspection(tmp_path / "folder").video.relative == "../video.mp4"


def test_a_video_of_which_networks_say_nothing_but_nan_is_named_and_skipped(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    run = make_run(tmp_path / "run", recipe_of("frame"))
    other = Path(shutil.copy(video, tmp_path / "other.mp4"))
    real = forward.predict_batches

    def predict_batches(*given: object) -> Iterator[tuple[int, list[VideoPrediction] | VideoError]]:
        for place, said in real(*given):  # type: ignore[arg-type]
            assert not isinstance(said, VideoError)
            yield place, [replace(one, scores=one.scores * np.nan) for one in said] if place == 0 else said

    monkeypatch.setattr(predicting, "predict_batches", predict_batches)
    found = predict(run, [video, other], out=tmp_path / "p.json", workers=0, options=InferenceOptions(device="cpu"))
    assert found.predictions.names == ("other.mp4",)
    assert "NaN" in found.failures[video.name]
