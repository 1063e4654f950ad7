"""Which videos a bundle calls out of distribution."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from sklearn.covariance import LedoitWolf

from helpers.finished_runs import finished_run
from helpers.noisy_videos import noisy_video
from urbanpipe.catalog.scan import scan
from urbanpipe.ensembling.bundling import bundle
from urbanpipe.errors import BundleError
from urbanpipe.inference.bundle import OOD, read_bundle
from urbanpipe.inference.ood import MIN_VIDEOS, fit_ood_detector, read_ood_detector, write_ood_detector
from urbanpipe.inspection.inspector import Inspector

CPU = torch.device("cpu")


def features(rng: np.random.Generator, count: int, channels: int = 6) -> NDArray[np.float64]:
    """Means around 0 and positive deviations of videos, (count, 2, channels)."""
    means, deviations = rng.normal(size=(2, count, channels))
    return np.stack([means, np.exp(0.2 * deviations)], axis=1)


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
        assert OOD in read_bundle(made.folder, device="cpu", runtime="torch").manifest.files
        inspector = Inspector.load(made.folder)
        kinds = {
            name: [one.kind for one in inspector.inspect(tmp_path / f"{name}.mp4").inspection.remarks]
            for name in ("known", "out_of_distribution")
        }
        assert "out_of_distribution" in kinds["out_of_distribution"]
        assert "out_of_distribution" not in kinds["known"]

    @pytest.mark.parametrize(("videos", "channels"), [(300, 4), (30, 40)])
    def test_the_score_is_the_mahalanobis_distance_with_scikit_learn_s_covariance(
        self, videos: int, channels: int
    ) -> None:
        """More videos than values, and fewer."""
        rng = np.random.default_rng(0)
        known, new = features(rng, videos, channels), features(rng, 1, channels)[0]
        values = [np.concatenate([m / (s + 0.1), np.log(s + 0.1)]) for m, s in (*known, new)]
        mean, scale = np.mean(values[:-1], axis=0), np.std(values[:-1], axis=0)
        units = (np.array(values) - mean) / scale
        inverse = np.linalg.inv(LedoitWolf(assume_centered=True).fit(units[:-1]).covariance_)
        expected = np.sqrt(units[-1] @ inverse @ units[-1] / (2 * channels))
        assert fit_ood_detector(known, known).score(new) == pytest.approx(expected)

    def test_a_small_shift_along_a_direction_of_low_variance_is_detected(self) -> None:
        """Two channels go together; a video in which they do not is out, though each value is usual by itself."""
        rng = np.random.default_rng(1)

        def videos(count: int, gap: float) -> NDArray[np.float64]:
            found = features(rng, count)
            found[:, 0, 1] = found[:, 0, 0] + rng.normal(0, 0.02, count) + gap
            found[:, 1, 1] = found[:, 1, 0]
            return found

        ood = fit_ood_detector(videos(2000, 0), videos(300, 0))
        assert np.mean([ood.score(video) > ood.threshold for video in videos(100, 1.2)]) > 0.9
        assert np.mean([ood.score(video) > ood.threshold for video in videos(300, 0)]) < 0.04

    def test_a_channel_that_is_flat_in_training_does_not_determine_the_distance_alone(self) -> None:
        rng = np.random.default_rng(2)
        known, unseen = features(rng, 200), features(rng, 200)
        known[:, :, 3] = unseen[:, :, 3] = 0
        ood = fit_ood_detector(known, unseen)
        video = known[0].copy()
        video[:, 3] = 1e-4
        assert ood.score(video) < ood.threshold

    @pytest.mark.slow
    def test_false_alarms_are_as_rare_as_promised_with_few_videos(self) -> None:
        rng = np.random.default_rng(0)
        alarms = []
        for _ in range(150):
            known, unseen, new = (features(rng, count) for count in (60, MIN_VIDEOS, 40))
            ood = fit_ood_detector(known, unseen)
            alarms += [ood.score(video) > ood.threshold for video in new]
        assert np.mean(alarms) < 1.25 / (MIN_VIDEOS + 1)

    def test_a_file_gives_the_same_scores(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(4)
        ood = fit_ood_detector(features(rng, 30), features(rng, 30))
        write_ood_detector(ood, tmp_path / "ood.safetensors")
        read = read_ood_detector(tmp_path / "ood.safetensors")
        video = features(rng, 1)[0]
        assert (read.score(video), read.threshold) == (ood.score(video), ood.threshold)
        with pytest.raises(BundleError, match="have 14 values, but the bundle's detector 12"):
            read.score(np.ones((2, 7)))

    def test_a_file_of_an_earlier_version_says_what_to_do(self, tmp_path: Path) -> None:
        save_file({"scales": np.ones(2), "threshold": np.ones(1)}, tmp_path / "ood.safetensors")
        with pytest.raises(BundleError, match="earlier version; make the bundle again with `urbanpipe bundle`"):
            read_ood_detector(tmp_path / "ood.safetensors")

    def test_a_damaged_file_is_refused(self, tmp_path: Path) -> None:
        rng, path = np.random.default_rng(5), tmp_path / "ood.safetensors"
        write_ood_detector(fit_ood_detector(features(rng, 30), features(rng, 30)), path)
        arrays = load_file(path)
        save_file(arrays | {"scale": arrays["scale"][:-1]}, path)
        with pytest.raises(BundleError, match=r"ood\.safetensors is damaged: the arrays do not fit each other"):
            read_ood_detector(path)
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(BundleError, match=r"ood\.safetensors is damaged"):
            read_ood_detector(path)

    def test_another_catalog_is_refused(self, tmp_path: Path) -> None:
        run = finished_run(tmp_path / "run", "frame")
        (tmp_path / "c.csv").write_text("name,path,status,group,labels\nother.mp4,other.mp4,ok,other,\n")
        with pytest.raises(BundleError, match="was trained on; give"):
            bundle(run, out=tmp_path / "b", data=tmp_path / "c.csv")
