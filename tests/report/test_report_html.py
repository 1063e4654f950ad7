"""The HTML report and the index, as text: what they say, what they carry, and what cannot get out of them."""

import base64
import hashlib
import re
import string
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from helpers.inspection_material import made_inspection
from urbanpipe.archive.results import summary_lines
from urbanpipe.contracts.findings import (
    BundleFacts,
    Evidence,
    Finding,
    Inspection,
    Remark,
    VideoFacts,
    write_inspection,
)
from urbanpipe.errors import InspectionError
from urbanpipe.report.html import video_url, write_index, write_report
from urbanpipe.report.inspection_data import DATA_TEXTS
from urbanpipe.report.pictures import album
from urbanpipe.report.timeline import span_seconds, thinned, ticks
from urbanpipe.report.verdict import verdict
from urbanpipe.report.wording import all_texts, clock, sureness, visible, wording

HOSTILE = [
    "<img src=x onerror=alert(1)>.mp4",
    "a\"b'c&d.mp4",
    "#?%.mp4",
    "</script><script>alert(1)</script>.mp4",
    "{{ 7 * 7 }}{% raw %}.mp4",
    "管道 12.mp4",
    "أنبوب.mp4",
    "pipe\u202egpj.mp4",
    "javascript:alert(1).mp4",
]


class Page(HTMLParser):
    """The elements of a page with their attributes, and the text of each."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.open = tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open, data))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def having(self, word: str) -> list[dict[str, str]]:
        return [attributes for _, attributes in self.elements if word in attributes.get("class", "").split()]

    def text(self, *tags: str) -> str:
        wanted = [data for tag, data in self.texts if (tag in tags if tags else tag not in {"script", "style"})]
        return " ".join(" ".join(wanted).split())


def report(folder: Path, language: str = "en", **changes: Any) -> Page:
    return Page(write_report(made_inspection(folder, **changes), folder, language))


def changed(made: Inspection, **changes: Any) -> Inspection:
    """A new inspection; a copy of the model would keep what was already computed from the old one."""
    return Inspection(**({name: getattr(made, name) for name in Inspection.model_fields} | changes))


def without_findings(folder: Path, normal_probability: float) -> Inspection:
    made = made_inspection(folder, f"{folder.name}.mp4")
    nothing: dict[str, object] = {"triage": "reject", "occurrences": (), "probability": 0.01}
    normal = {**nothing, "triage": "review", "probability": normal_probability}
    findings = [one.model_copy(update=normal if one.code == made.exclusive else nothing) for one in made.findings]
    return changed(made, findings=tuple(findings))


def with_shots(made: Inspection, shots: int) -> Inspection:
    """Every class shown, at two moments with so many frames each, all of the first picture of the folder."""
    moment = next(one for one in made.findings if one.code == "CK").occurrences[0]

    def copies(code: str, n: int) -> tuple[Evidence, ...]:
        names = [f"{code}-{n}-{shot}.jpg" for shot in range(shots)]
        return tuple(moment.evidence[0].model_copy(update={"picture": name}) for name in names)

    findings = []
    for place, one in enumerate(made.findings):
        at = tuple(moment.model_copy(update={"seconds": 5.0 * n, "evidence": copies(one.code, n)}) for n in range(2))
        findings.append(
            one.model_copy(update={"triage": "accept", "probability": 0.99 - 0.05 * place, "occurrences": at})
        )
    return changed(made, findings=tuple(findings))


def test_says_what_was_found_how_sure_and_when(tmp_path: Path) -> None:
    page = report(tmp_path / "d1_1")
    text = page.text()
    for word in ("d1_1.mp4", "01:00", "640 × 480", "demonstration", "2 defects found, 1 to check", "and 10 more"):
        assert word in text
    for word in ("displaced joint", "97%", "about 97 of 100 videos with this value show it", "12.40 m", "Please check"):
        assert word in text
    assert "proposals by software" in text
    assert "Do not rely on it" in text
    assert text.index("displaced joint") < text.index("sediment deposit") < text.index("leakage, infiltration")
    assert [one["data-at"] for one in page.all("a") if "mark" in one["class"]] == ["12.5", "41.0", "52.25", "28.0"]
    assert [one["data-seek"] for one in page.all("a") if "mark" in one["class"]] == ["10.5", "39.0", "50.25", "26.0"]
    assert len(page.having("heat")) == len(page.having("ring")) == len(page.having("card")) == 4


def test_the_best_moment_of_a_finding_is_that_of_the_highest_score(tmp_path: Path) -> None:
    made = made_inspection(tmp_path / "v")
    joint = next(one for one in made.findings if one.code == "CK")
    second = joint.occurrences[1].model_copy(update={"score": 0.99})
    better = joint.model_copy(update={"occurrences": (joint.occurrences[0], second)})
    findings = tuple(better if one.code == "CK" else one for one in made.findings)
    page = Page(write_report(changed(made, findings=findings), tmp_path / "v"))
    first = next(one for one in page.all("a") if "finding" in one["class"])
    assert (first["href"], first["data-at"]) == ("#f1-2", "41.0")


def test_chinese(tmp_path: Path) -> None:
    page = report(tmp_path / "d1_1", "zh")
    assert page.all("html") == [{"lang": "zh-CN"}]
    for word in ("发现 2 类缺陷，1 类待核查", "错口", "97%", "软件的建议", "不可作为依据"):
        assert word in page.text()
    assert "displaced" not in page.text()


def test_an_unknown_language_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    made = made_inspection(tmp_path / "v")
    with pytest.raises(InspectionError, match="'de'; expected one of en, zh"):
        write_report(made, tmp_path / "v", "de")
    with pytest.raises(InspectionError, match="en, zh"):
        write_index([tmp_path / "v"], tmp_path, "de")
    assert not (tmp_path / "v" / "report.html").exists()


def test_languages_have_the_same_texts_with_the_same_places() -> None:
    def places(texts: dict[str, str]) -> dict[str, set[str | None]]:
        return {key: {name for _, name, _, _ in string.Formatter().parse(text) if name} for key, text in texts.items()}

    for texts in (all_texts(), all_texts(DATA_TEXTS)):
        assert places(texts["en"]) == places(texts["zh"])
        assert all(text.strip() for language in texts.values() for text in language.values())


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_harmless(tmp_path: Path, name: str) -> None:
    path = write_report(made_inspection(tmp_path / "v", name=name), tmp_path / "v")
    page, plain = Page(path), report(tmp_path / "plain")
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]
    assert visible(name) in " ".join(data for _, data in page.texts)
    assert "\u202e" not in path.read_text(encoding="utf-8")
    source = page.all("video")[0]["src"]
    assert source.startswith("../")
    assert unquote(source) == f"../{name}"
    assert not set(source) & set("<>\"'#?: ")


@pytest.mark.parametrize("relative", ["javascript:alert(1)", "//host/a.mp4", "C:/a.mp4", "\\\\host\\a.mp4", "a.mp4"])
def test_a_video_is_never_looked_for_elsewhere(relative: str) -> None:
    assert re.fullmatch(r"\./[^:\\]*", video_url(relative))
    assert video_url("") == ""


def test_hostile_words_of_a_taxonomy_and_of_remarks_are_harmless(tmp_path: Path) -> None:
    made = made_inspection(tmp_path / "v", remarks=(Remark(kind="other", text="<b onclick=x>&"),))
    evil = '"><script>x</script>'
    findings = tuple(one.model_copy(update={"en": evil, "kind": evil}) for one in made.findings)
    page = Page(write_report(changed(made, findings=findings), tmp_path / "v"))
    assert len(page.all("script")) == 1
    assert evil in page.text("strong")
    assert "<b onclick=x>&" in page.text()


def test_no_text_of_others_turns_a_page_around_or_is_a_control_character(tmp_path: Path) -> None:
    """The code and name of a class, the name of a bundle and of a taxonomy, and a remark, in a report and an index."""
    odd = "a\x1b[31m\u202eb\u2066"
    made = made_inspection(tmp_path / "v", remarks=(Remark(kind="other", text=odd),))
    findings = tuple(one.model_copy(update={"code": odd, "en": odd, "zh": odd}) for one in made.findings)
    bundle = made.bundle.model_copy(update={"name": odd, "taxonomy": odd})
    made = changed(made, findings=findings, bundle=bundle)
    write_inspection(made, tmp_path / "v")
    pages = [write_report(made, tmp_path / "v"), write_index([tmp_path / "v"], tmp_path, failures={odd: odd})]
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert not set(text) & set("\x1b\u202e\u2066")
        assert "a\ufffd[31m\ufffdb\ufffd" in text
    plain = write_report(made_inspection(tmp_path / "plain"), tmp_path / "plain")
    assert "\ufffd" not in plain.read_text(encoding="utf-8")


def test_nothing_is_fetched_but_the_video(tmp_path: Path) -> None:
    made = made_inspection(tmp_path / "out" / "d1_1")
    for path in (
        write_report(made, tmp_path / "out" / "d1_1"),
        write_index([tmp_path / "out" / "d1_1"], tmp_path / "out"),
    ):
        page = Page(path)
        links = [value for _, one in page.elements for key, value in one.items() if key in {"src", "href", "srcset"}]
        rest = {link for link in links if not link.startswith(("data:", "#", "../d1_1.mp4", "./d1_1/report.html"))}
        assert not rest
        names = re.findall(r"https?:\S{0,24}", path.read_text(encoding="utf-8"))
        assert set(names) == {"http://www.w3.org/2000/svg'"}, "only the name space of the icon"
        assert "@import" not in page.text("style")
        assert "url(" not in page.text("style")


def test_the_policy_allows_this_script_and_these_styles_alone(tmp_path: Path) -> None:
    path = write_report(made_inspection(tmp_path / "v"), tmp_path / "v")
    html = path.read_text(encoding="utf-8")
    policy = next(one["content"] for one in Page(path).all("meta") if one.get("http-equiv"))
    inlined = re.findall(r"<(?:style|script)[^>]*>(.*?)</(?:style|script)>", html, re.DOTALL)
    assert len(inlined) == 3
    for text in inlined:
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "style=" not in re.sub(r"<(style|script).*?</\1>", "", html, flags=re.DOTALL), "the policy would refuse it"


def test_lost_pictures_leave_a_note_and_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as WeasyPrint does when it is imported
    folder = tmp_path / "v"
    made = made_inspection(folder)
    (folder / "CK-1.jpg").unlink()
    (folder / "CK-2.jpg").write_bytes((folder / "CK-2.jpg").read_bytes()[:900])
    (folder / "CJ-1.heat.png").write_bytes(b"no picture")
    (folder / "SL-1.jpg").write_text("<svg onload=alert(1)>")
    page = Page(write_report(made, folder))
    assert len(page.having("card")) == 4
    assert len(page.having("lost")) == 3
    assert len(page.having("heat")) == 0
    for note in ("The picture CK-1.jpg is missing.", "The picture CK-2.jpg is damaged.", "1 picture is missing"):
        assert note in page.text()
    assert "3 pictures are damaged" in page.text()


def test_pictures_outside_of_the_folder_are_not_taken(tmp_path: Path) -> None:
    made = made_inspection(tmp_path / "v")
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.jpg")
    shot = made.defects[0].occurrences[0].evidence[0].model_copy(update={"picture": "../secret.jpg"})
    occurrence = made.defects[0].occurrences[0].model_copy(update={"evidence": (shot,)})
    finding = made.defects[0].model_copy(update={"occurrences": (occurrence,)})
    pictures = album(changed(made, findings=(finding,)), tmp_path / "v")
    assert pictures.lost == {"../secret.jpg": "damaged"}


@pytest.mark.slow
def test_too_many_pictures_are_made_smaller(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    made = with_shots(made_inspection(folder), 1)
    noise = np.random.default_rng(1).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.jpg", quality=97)
    data = (folder / "noise.jpg").read_bytes()
    names = [shot.picture for one in made.defects for moment in one.occurrences for shot in moment.evidence]
    for name in names:
        (folder / name).write_bytes(data)
    assert len(names) * len(data) > 8_000_000
    path = write_report(made, folder)
    assert path.stat().st_size < 5_000_000
    assert len([one for one in Page(path).all("img") if "heat" not in one.get("class", "")]) == 32 + 16


@pytest.mark.slow
def test_what_still_does_not_fit_is_left_out_from_the_least_informative_end(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    made = with_shots(made_inspection(folder), 2)
    data = (folder / "CK-1.jpg").read_bytes()
    for one in made.defects:
        for moment in one.occurrences:
            for shot in moment.evidence:
                (folder / shot.picture).write_bytes(data)
    pictures = album(made, folder, most_letters=60_000)
    assert sum(map(len, pictures.uris.values())) <= 60_000
    kept = [name for name in pictures.uris if name.endswith(".jpg")]
    assert 0 < len(kept) < 32
    assert all(name.endswith("-0.jpg") for name in kept), "second frames go first"
    first, last = made.defects[0].code, made.defects[-1].code
    assert any(name.startswith(first) for name in kept)
    assert not any(name.startswith(last) for name in kept)
    assert set(pictures.lost.values()) == {"left_out"}


def test_no_defect(tmp_path: Path) -> None:
    page = Page(write_report(without_findings(tmp_path / "v", 0.93), tmp_path / "v"))
    assert "No defect likely (normal 93%)" in page.text("h2")
    assert "and 13 more" in page.text("h3")
    assert not page.having("finding")
    assert not page.having("card")


def test_no_defect_but_not_sure_that_nothing_is_wrong(tmp_path: Path) -> None:
    page = Page(write_report(without_findings(tmp_path / "v", 0.3), tmp_path / "v"))
    assert "No defect found, but please check (normal only 30%)" in page.text("h2")
    assert "please review the video" in page.text("strong")


def test_what_is_not_calibrated_is_no_percentage(tmp_path: Path) -> None:
    facts = BundleFacts(name="own", digest="2" * 64, taxonomy="t", demonstration=False, calibrated=False)
    page = report(tmp_path / "v", bundle=facts)
    assert "0.97" in page.text()
    assert "score, not calibrated" in page.text()
    assert "%" not in page.text()
    assert "Demonstration" not in page.text()


def test_remarks_speak_the_language_of_the_report(tmp_path: Path) -> None:
    remark = Remark(
        kind="damaged",
        text="The file is damaged (<x>); parts of the video were not seen.",
        key="damaged",
        values={"damage": "<x>"},
    )
    for language, said in (("en", "Damaged. The file is damaged (<x>);"), ("zh", "文件损坏。 文件已损坏；")):
        assert said in report(tmp_path / language, language, remarks=(remark,)).text()


def test_remarks_stand_above_all_and_the_worst_first(tmp_path: Path) -> None:
    remarks = (
        Remark(kind="dark", text="It is dark."),
        Remark(kind="out_of_distribution", text="It is unlike the others."),
    )
    page = report(tmp_path / "v", remarks=remarks)
    text = page.text()
    assert text.index("It is unlike the others.") < text.index("It is dark.") < text.index("2 defects found")
    assert "Do not rely on these findings" in text
    assert len(page.having("out_of_distribution")) == 1


def test_a_video_predicted_as_one_segment_has_no_times(tmp_path: Path) -> None:
    made = made_inspection(tmp_path / "v", timeline=None)
    findings = tuple(one.model_copy(update={"occurrences": ()}) for one in made.findings)
    page = Page(write_report(changed(made, findings=findings), tmp_path / "v"))
    assert "predict the video as one segment" in page.text()
    assert len(page.having("finding")) == 3
    assert not page.having("card")
    assert not page.having("lane")


def test_occurrences_without_pictures_or_with_distances_as_numbers_alone(tmp_path: Path) -> None:
    made = made_inspection(tmp_path / "v")
    finding = made.defects[0]
    one, two = finding.occurrences
    metres = one.evidence[0].model_copy(update={"distance_text": "", "distance_metres": 3.5})
    occurrences = (one.model_copy(update={"evidence": (metres,)}), two.model_copy(update={"evidence": ()}))
    findings = (finding.model_copy(update={"occurrences": occurrences}),)
    page = Page(write_report(changed(made, findings=findings), tmp_path / "v"))
    assert "3.50 m" in page.text()
    assert "No picture was stored." in page.text()
    assert len(page.having("card")) == 2


def test_without_a_way_to_the_video_the_report_says_so(tmp_path: Path) -> None:
    made = made_inspection(tmp_path / "v")
    video = VideoFacts(**(made.video.model_dump() | {"relative": ""}))
    page = Page(write_report(changed(made, video=video), tmp_path / "v"))
    assert not page.all("video")
    assert "is not known" in page.text()


def test_thinning_keeps_every_peak() -> None:
    seconds = np.arange(0.0, 3600.0, 0.25)
    scores = np.full(len(seconds), 0.1)
    peaks = [0, 777, 5001, 9999, len(seconds) - 1]
    scores[peaks] = 0.9
    chosen = thinned(seconds, scores)
    assert len(chosen) <= 802
    assert set(peaks) <= set(chosen.tolist())
    assert (np.diff(chosen) > 0).all()
    assert thinned(seconds[:5], scores[:5]).tolist() == [0, 1, 2, 3, 4]


def test_a_long_video_is_drawn_with_few_points(tmp_path: Path) -> None:
    page = report(tmp_path / "v", duration=7200.0)
    paths = [one["d"] for one in page.all("path") if one.get("class") == "curve"]
    assert len(paths) == 3
    assert all(200 < path.count("L") < 810 for path in paths)
    lowest = min(float(point.split(",")[1]) for point in paths[0][1:-1].split("L"))
    assert lowest == pytest.approx(100 * (1 - (0.02 + 0.9 * 0.97)), abs=0.3), "the peak reaches its height"


@pytest.mark.parametrize(
    ("span", "last", "most"), [(0.1, "00:00.1", 2), (60.0, "01:00", 7), (600.0, "10:00", 6), (90000.0, "25:00:00", 9)]
)
def test_the_time_axis_has_few_ticks(span: float, last: str, most: int) -> None:
    made = ticks(span)
    assert 2 <= len(made) <= most
    assert made[0].x == 0.0
    assert all(0 <= tick.x <= 100 for tick in made)
    if span != 90000.0:
        assert made[-1].label == last


def test_a_video_without_length_is_no_division_by_nothing(tmp_path: Path) -> None:
    made = made_inspection(tmp_path / "v", duration=60.0)
    video = made.video.model_copy(update={"duration_seconds": 0.0})
    empty = changed(made, video=video, timeline=None, findings=())
    assert span_seconds(empty) == 0.1
    write_report(empty, tmp_path / "v")


def test_times_and_shares() -> None:
    assert [clock(0), clock(59.99), clock(3725.5)] == ["00:00", "00:59", "1:02:05"]
    assert clock(59.99, tenths=True) == "00:59.9"
    assert clock(12.3, tenths=True) == "00:12.3"
    assert [sureness(one, True) for one in (0.0, 0.004, 0.5, 0.996, 1.0)] == ["<1%", "<1%", "50%", ">99%", ">99%"]
    assert wording("en").meaning(0.999, True).startswith("more than 99 of 100")


def test_the_index_links_to_every_report(tmp_path: Path) -> None:
    names = ["a b#1.mp4", "第二.mp4"]
    folders = [tmp_path / "out" / "a b#1", tmp_path / "out" / "第二"]
    for folder, name in zip(folders, names, strict=True):
        write_report(made_inspection(folder, name=name), folder)
    page = Page(write_index(folders, tmp_path / "out", failures={"broken<b>.mp4": "no video stream"}))
    links = [one["href"] for one in page.all("a")]
    rows = [link for link in links if "#" not in link]
    assert [(tmp_path / "out" / unquote(link)).is_file() for link in rows] == [True, True]
    assert rows[0] == "./a%20b%231/report.html"
    assert f"{rows[0]}#f1" in links
    anchors = {attributes.get("id") for _, attributes in Page(folders[0] / "report.html").elements}
    assert {link.partition("#")[2] for link in links if "#" in link} <= anchors
    text = page.text()
    for word in ("2 videos", "2 with defects found", "1 failed", "broken<b>.mp4", "no video stream", "01:00", "97%"):
        assert word in text
    assert text.index(names[0]) < text.index(names[1])


def test_the_index_of_an_archive_has_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urbanpipe.report.html.PAGE_VIDEOS", 2)
    folders = [tmp_path / f"v{number}" for number in range(5)]
    for folder in folders:
        made_inspection(folder, name=f"{folder.name}.mp4")
    failures = {f"bad{number}.mp4": "no video stream" for number in range(3)}
    for users in ("index-old.html", "index-2024.html"):
        (tmp_path / users).write_text("the user's")
    pages = [Page(write_index(folders, tmp_path, failures=failures)), *map(Page, sorted(tmp_path.glob("index-?.html")))]
    assert [path.name for path in sorted(tmp_path.glob("index*.html"))] == [
        *("index-2.html", "index-2024.html", "index-3.html", "index-old.html", "index.html")
    ]
    for number, (page, names) in enumerate(zip(pages, ["v0 v1", "v2 v3", "v4"], strict=True), 1):
        reports = [one["href"] for one in page.all("a") if one["href"].endswith("report.html")]
        assert reports == [f"./{name}/report.html" for name in names.split()]
        others = {one["href"] for one in page.all("a") if "index" in one["href"]}
        assert others == {"./index.html", "./index-2.html", "./index-3.html"} - {
            f"./{'index' if number == 1 else f'index-{number}'}.html"
        }
        assert f"Page {number} of 3" in page.text()
        assert "5 videos" in page.text()
        assert "3 failed" in page.text()
        assert "on this page" in page.text()
        assert ("bad1.mp4" in page.text()) == (number == 1)
    one = Page(write_index(folders[:2], tmp_path))
    assert [path.name for path in sorted(tmp_path.glob("index*.html"))] == [
        *("index-2024.html", "index-old.html", "index.html")
    ]
    (tmp_path / "index-2.html").write_text("the user's")
    write_index(folders[:2], tmp_path)
    assert (tmp_path / "index-2.html").read_text() == "the user's"
    assert "Page" not in one.text()
    assert "of this page" not in one.text()


def test_the_index_tells_videos_without_findings_and_remarks_apart(tmp_path: Path) -> None:
    from urbanpipe.contracts.findings import write_inspection

    folders = [tmp_path / name for name in ("clear", "unsure", "remarked")]
    write_inspection(without_findings(folders[0], 0.93), folders[0])
    write_inspection(without_findings(folders[1], 0.3), folders[1])
    made_inspection(
        folders[2], "remarked.mp4", remarks=(Remark(kind="out_of_distribution", text="It is unlike the others."),)
    )
    page = Page(write_index(folders, tmp_path))
    assert "3 videos 1 with defects found 1 only to check 1 without a likely defect" in page.text()
    assert "No defect found, but please check (normal only 30%)" in page.text()
    assert "Unlike known videos" in page.text()
    assert len(page.having("notable")) == 2


def test_an_inspection_that_cannot_be_read_does_not_lose_the_index(tmp_path: Path) -> None:
    made_inspection(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "findings.json").write_text("{")
    page = Page(write_index([tmp_path / "bad", tmp_path / "good"], tmp_path, "zh"))
    assert "1 个视频" in page.text()
    assert "is damaged" in page.text()
    assert "没有检测任何视频" in Page(write_index([], tmp_path, "zh")).text()


def with_probabilities(folder: Path, normal: float, probabilities: Mapping[str, float]) -> Inspection:
    """An inspection in which the named classes need review, each with a moment, and all others are rejected."""
    made = made_inspection(folder)
    moment = next(one for one in made.findings if one.code == "CK").occurrences[:1]
    findings = []
    for one in made.findings:
        nothing: dict[str, object] = {"triage": "reject", "occurrences": (), "probability": 0.01}
        if one.code in probabilities:
            nothing |= {"triage": "review", "occurrences": moment, "probability": probabilities[one.code]}
        elif one.code == made.exclusive:
            nothing |= {"triage": "review", "probability": normal}
        findings.append(one.model_copy(update=nothing))
    inspection = changed(made, findings=tuple(findings))
    write_inspection(inspection, folder)
    return inspection


WEAK = dict(zip(["SL", "CK", "TJ", "PL", "FS", "CR", "QF"], (0.077, 0.06, 0.05, 0.03, 0.02, 0.01, 0.004), strict=True))


def test_a_normal_video_is_reported_as_normal(tmp_path: Path) -> None:
    inspection = with_probabilities(tmp_path / "a", 0.87, WEAK)
    page = Page(write_report(inspection, tmp_path / "a"))
    assert "No defect likely (normal 87%)" in page.text("h2")
    assert page.having("verdict") == [{"id": "verdict", "class": "verdict clear"}]
    for name in ("finding", "lane", "lanes"):
        assert not page.having(name)
    assert not [one for _, one in page.elements if one.get("id") in {"timeline", "evidence", "next"}]
    index = Page(write_index([tmp_path / "a"], tmp_path))
    assert "1 video 0 with defects found 0 only to check 1 without a likely defect" in index.text()
    assert "No defect likely (normal 87%)" in index.text()
    assert not index.having("notable")
    assert not index.having("chip")
    chinese = Page(write_report(inspection, tmp_path / "a", "zh"))
    assert "应无缺陷（正常 87%）" in chinese.text("h2")


def test_the_terminal_says_the_same_as_the_page(tmp_path: Path) -> None:
    assert list(summary_lines(with_probabilities(tmp_path, 0.87, WEAK))) == ["No defect likely (normal 87%)"]
    first, second = summary_lines(with_probabilities(tmp_path, 0.87, WEAK | {"CJ": 0.997}))
    assert (first, second) == ("1 possible defect to check", "  review CJ sediment deposit: >99% at 12.5 s")
    made = with_probabilities(tmp_path, 0.87, {"CJ": 0.31})
    plain = changed(made, bundle=made.bundle.model_copy(update={"calibrated": False}))
    assert list(summary_lines(plain)) == [
        "No defect likely (normal 0.87), 1 to check",
        "  review CJ sediment deposit: 0.31 at 12.5 s",
    ]


def test_a_weak_finding_stays_in_one_line_with_all_classes_most_probable_first(tmp_path: Path) -> None:
    page = Page(write_report(with_probabilities(tmp_path, 0.87, WEAK), tmp_path))
    assert [one for one in page.all("details") if one.get("class") == "weak" and "open" not in one]
    assert page.text("h3").startswith("Less likely: SL 8%, CK 6%, TJ 5% and 13 more")
    text = page.text("td")
    shown = re.findall(r"\b([A-Z]{2}) [^%]*?(<?\d+)%", text)
    assert [code for code, _ in shown[:5]] == ["SL", "CK", "TJ", "PL", "FS"]
    assert len(shown) == 16
    assert text.index("leakage") < text.index("displaced joint")
    assert page.text("p").count("The 7 marked classes are kept for review only because") == 1
    assert len(page.having("gallery")) == 7, "their pictures are in the fold"


@pytest.mark.parametrize(
    ("normal", "weak", "text"),
    [
        (0.87, {"SL": 0.0949}, "No defect likely (normal 87%)"),
        (0.87, {"SL": 0.0976}, "No defect likely (normal 87%), 1 to check"),
        (0.87, {"SL": 0.31, "CK": 0.2}, "No defect likely (normal 87%), 2 to check"),
        (0.87, {"SL": 0.6}, "1 possible defect to check"),
        (0.4, {"SL": 0.31}, "1 possible defect to check"),
        (0.22, {"SL": 0.04}, "No defect found, but please check (normal only 22%)"),
        (0.22, {}, "No defect found, but please check (normal only 22%)"),
    ],
)
def test_the_verdict(normal: float, weak: dict[str, float], text: str, tmp_path: Path) -> None:
    made = verdict(with_probabilities(tmp_path, normal, weak), wording("en"))
    assert made.text == text
    assert made.unsure == ("please" in text)


def test_the_verdict_without_a_class_for_nothing_wrong(tmp_path: Path) -> None:
    inspection = with_probabilities(tmp_path, 0.9, {"SL": 0.04})
    defects = tuple(one for one in inspection.findings if one.code != inspection.exclusive)
    made = verdict(changed(inspection, exclusive=None, findings=defects), wording("en"))
    assert (made.text, made.clear) == ("No defect likely", True)


@given(share=st.floats(0, 1), calibrated=st.booleans())
@example(share=0.095, calibrated=True)
@example(share=0.0976, calibrated=True)
@example(share=0.005, calibrated=True)
def test_what_is_shown_as_ten_per_cent_is_never_called_less(share: float, calibrated: bool) -> None:
    finding = Finding(code="X", en="x", probability=share, score=share, triage="review")
    text = sureness(share, calibrated)
    if calibrated:
        assert finding.unlikely == (text == "<1%" or (text[0] != ">" and int(text[:-1]) < 10))
        assert text != "0%"
    elif abs(share - 0.095) > 1e-9:
        assert finding.unlikely == (float(text) < 0.1)


def test_a_found_defect_leaves_the_weak_ones_folded_up(tmp_path: Path) -> None:
    made = made_inspection(tmp_path)
    low = {"triage": "review", "probability": 0.04}
    made = changed(made, findings=tuple(f.model_copy(update=low if f.code == "SL" else {}) for f in made.findings))
    write_inspection(made, tmp_path)
    page = Page(write_report(made, tmp_path))
    assert "2 defects found" in page.text("h2")
    assert "to check" not in page.text("h2")
    assert "Less likely: SL 4%" in page.text("h3")
    assert len([one for one in page.all("div") if one.get("class", "").startswith("lane ")]) == 2 + 1, "and the axis"
    assert "SL" not in Page(write_index([tmp_path], tmp_path / "index")).text()


def test_equal_names_and_equal_contents_are_told_in_the_index(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder, path, digest in zip(folders, ("/v/a/x.mp4", "/v/b/x.mp4", "/v/b/y.mp4"), "556", strict=True):
        made = made_inspection(folder)
        video = made.video.model_copy(update={"name": Path(path).name, "path": path, "digest": digest * 32})
        write_inspection(changed(made, video=video), folder)
    page = Page(write_index(folders, tmp_path))
    text = page.text("bdi")
    assert text == "a/x.mp4 b/x.mp4 y.mp4"
    assert [one["title"] for one in page.having("duplicate")] == [
        "The same content as b/x.mp4.",
        "The same content as a/x.mp4.",
    ]
    assert "3 videos" in page.text()
    assert "1 duplicate" in page.text()


def test_a_remark_on_the_bundle_stands_once_in_the_index_and_makes_no_video_notable(tmp_path: Path) -> None:
    values = {"classes": "BX, TL"}
    remark = Remark(kind="other", text="It cannot detect BX, TL.", key="untrained", values=values)
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        made = with_probabilities(folder, 0.87, WEAK)
        video = made.video.model_copy(update={"digest": folder.name})
        write_inspection(changed(made, video=video, remarks=(remark,)), folder)
    page = Page(write_index(folders, tmp_path))
    assert page.text().count("It cannot detect BX, TL.") == 1
    assert not page.having("notable")
