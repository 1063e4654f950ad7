"""The inspector: findings and evidence of one video, from bundles of random networks of every method."""

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from helpers.explain_runs import METHODS, TAXONOMY, make_run, recipe_of
from helpers.finished_runs import finished_run
from helpers.noisy_videos import noisy_video
from helpers.video_files import write
from urbanpipe.contracts.findings import read_inspection, read_timeline
from urbanpipe.ensembling.bundling import bundle
from urbanpipe.errors import VideoError
from urbanpipe.inference import predict as predicting
from urbanpipe.inference import scoring as forward
from urbanpipe.inference.bundle import DEMONSTRATION
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inference.predict import predict
from urbanpipe.inference.prediction import VideoPrediction
from urbanpipe.inspection import video_pass as watching
from urbanpipe.inspection.inspector import Inspector
from urbanpipe.report.html import write_report
from urbanpipe.video import isolated


@pytest.mark.slow
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
    probabilities = made.evaluation.calibration.apply(plain[None])
    np.testing.assert_allclose([one.probability for one in findings], probabilities[0], atol=1e-4)
    assert [one.triage for one in findings] == made.evaluation.triage.decide(probabilities)[0].tolist()
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


@pytest.mark.slow
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
    promised = page[page.index('class="weak"') :]
    assert ">CJ<" in promised
    assert ">TL<" not in promised


@pytest.mark.slow
def test_what_was_read_in_a_video_is_forgotten_with_it(
    frame_bundle: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = Inspector.load(frame_bundle)
    sizes = []
    for _ in range(2):
        inspector.inspect(video)
        sizes.append(len(inspector._evidence_maker._read))
        inspector._evidence_maker._read[object()] = None  # type: ignore[index]
    assert sizes[0] == sizes[1]


@pytest.mark.slow
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


@pytest.mark.slow
def test_findings_do_not_depend_on_the_number_of_decoders(
    frame_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolated, "PART_PICTURES", 3)
    parts = Mock(side_effect=isolated._parts)
    monkeypatch.setattr(isolated, "_parts", parts)
    path = write(tmp_path / "a.mp4", frames=150)
    one, several = (Inspector.load(frame_bundle, decoders=decoders).inspect(path) for decoders in (1, 2))
    assert len(parts(parts.call_args.args[0], parts.call_args.args[1])) > 2
    assert several.pictures == one.pictures
    assert several.inspection.model_copy(update={"made_at": one.inspection.made_at}) == one.inspection


@pytest.mark.slow
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
