"""Which videos a bundle calls out of distribution."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from helpers.finished_runs import finished_run
from helpers.noisy_videos import noisy_video
from urbanpipe.catalog.scan import scan
from urbanpipe.ensembling.bundling import bundle
from urbanpipe.errors import BundleError
from urbanpipe.inference.bundle import OOD, read_bundle
from urbanpipe.inference.ood import MIN_VIDEOS, fit_ood_detector, read_ood_detector, write_ood_detector
from urbanpipe.inspection.inspector import Inspector

CPU = torch.device("cpu")


class TestOutOfDistribution:
    @pytest.mark.slow
    def test_out_of_distribution_videos_are_remarked(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Known videos are grey noise of some brightness, the other one has strong colours; one known file is lost."""
        run = finished_run(tmp_path / "run", "frame")
        folder = tmp_path / "videos"
        folder.mkdir()
        rng = np.random.default_rng(3)
        for number in range(60):
            noisy_video(folder / f"d{number}_1.mp4", rng, colour=False)
        noisy_video(tmp_path / "known.mp4", rng, colour=False)
        noisy_video(tmp_path / "out_of_distribution.mp4", rng, colour=True)
        scan(folder, out=tmp_path / "catalog.csv")
        (folder / "d7_1.mp4").write_bytes(b"no video")
        with caplog.at_level("WARNING", "urbanpipe"):
            made = bundle(run, out=tmp_path / "bundle", data=tmp_path / "catalog.csv")
        assert "left out of the out-of-distribution detector: d7_1.mp4: not a video" in caplog.text
        assert OOD in read_bundle(made.folder, CPU).manifest.files
        inspector = Inspector.load(made.folder)
        kinds = {
            name: [one.kind for one in inspector.inspect(tmp_path / f"{name}.mp4").inspection.remarks]
            for name in ("known", "out_of_distribution")
        }
        assert "out_of_distribution" in kinds["out_of_distribution"]
        assert "out_of_distribution" not in kinds["known"]

    @pytest.mark.slow
    @pytest.mark.parametrize("width", [8, 24, 32, 33, 500])
    def test_features_of_any_width_are_distinguished_also_when_read_back(self, width: int, tmp_path: Path) -> None:
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
        with pytest.raises(BundleError, match="values, but the bundle"):
            read.score([np.zeros(width + 1)] * 2)

    @pytest.mark.slow
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
        with pytest.raises(BundleError, match="was trained on; give"):
            bundle(run, out=tmp_path / "b", data=tmp_path / "c.csv")
