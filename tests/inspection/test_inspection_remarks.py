"""Remarks on videos that are damaged, dark, short or out of the ordinary."""

import io
import tomllib
from pathlib import Path
from string import Formatter

import av
import numpy as np
import pytest
from PIL import Image

from helpers.finished_runs import finished_run
from helpers.noisy_videos import noisy_video, spoilt_video
from urbanpipe.contracts import remarks
from urbanpipe.contracts.remarks import sentence
from urbanpipe.ensembling.bundling import bundle
from urbanpipe.errors import VideoError
from urbanpipe.inspection.inspector import Inspector
from urbanpipe.report.wording import all_texts


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
        assert "lasts only 0.40 s" in self.kinds(frame_bundle, tmp_path / "short.mp4")["short"]

    def test_a_size_that_changes_in_mid_file(self, frame_bundle: Path, tmp_path: Path) -> None:
        parts = [tmp_path / "a.ts", tmp_path / "b.ts"]
        for part, size in zip(parts, (64, 96), strict=True):
            noisy_video(part, np.random.default_rng(0), colour=False, frames=10, size=size)
        (tmp_path / "both.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
        assert "64x64, 96x96" in self.kinds(frame_bundle, tmp_path / "both.ts")["size"]

    @pytest.mark.slow
    def test_cut_off(self, frame_bundle: Path, tmp_path: Path) -> None:
        noisy_video(tmp_path / "whole.mkv", np.random.default_rng(0), colour=True, frames=60)
        data = (tmp_path / "whole.mkv").read_bytes()
        (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 6 // 10])
        assert "cut off" in self.kinds(frame_bundle, tmp_path / "cut.mkv")["cut"]

    @pytest.mark.slow
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
