"""The record: what it says, its pages as poppler reads them, and what it refuses."""

import base64
import re
import shutil
import string
import subprocess
from contextlib import closing
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from helpers.inspection_material import made_inspection
from helpers.record_material import HEAD, REMARKS, inspection_of, made_contract
from helpers.review_material import decide, finish
from helpers.video_files import number_in, write
from urbanpipe.cli.main import app
from urbanpipe.contracts.findings import write_inspection
from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.contracts.stored_inspection_data import STORED_DATA, store_data
from urbanpipe.contracts.text_width import columns_of, cut
from urbanpipe.errors import InspectionError, ReviewError
from urbanpipe.record.page_rules import css_string
from urbanpipe.record.pdf import weasyprint
from urbanpipe.record.report import MAX_FINDINGS, report
from urbanpipe.record.segments import natural_order
from urbanpipe.record.selection import Selection
from urbanpipe.record.wording import TEXTS
from urbanpipe.report.wording import all_texts
from urbanpipe.review_store.decision import DATA_KEY
from urbanpipe.review_store.store import ReviewStore
from urbanpipe.video.isolated import index_frames

poppler = pytest.mark.skipif(not shutil.which("pdftotext"), reason="poppler (pdftotext, pdfinfo) is not installed")


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `out`, `review.sqlite` and `data.csv`; no test may change a file."""
    folder = tmp_path_factory.mktemp("contract")
    made_contract(folder)
    return folder


@pytest.fixture(scope="module")
def _weasyprint() -> None:
    try:
        weasyprint()
    except InspectionError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def html(contract: Path) -> str:
    """The record of the contract, with decisions."""
    return _html(contract / "out", contract, store=True, contractor="Example & Sons")


def _html(inspections: Path, contract: Path, *, store: bool, **options: object) -> str:
    out = contract / "made.html"
    decisions = contract / "review.sqlite" if store else None
    data = contract / "data.csv"
    report(inspections, out=out, store=decisions, undecided="mark", inspection_data=data, **options)  # type: ignore[arg-type]
    return out.read_text(encoding="utf-8")


def _text(html: str) -> str:
    """Return what a reader reads, on one line."""
    body = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def _pages(pdf: Path) -> list[str]:
    made = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, check=True)
    return [" ".join(page.split()) for page in made.stdout.decode().split("\f")[:-1]]


def test_the_record_names_what_is_known_of_the_contract(html: str) -> None:
    text = _text(html)
    for known in ("City of Example", "Contract 17", "Example &amp; Sons", "Long Street 12", "38.4 m", "600 mm"):
        assert known in text, known
    for known in ("egg", "against the flow", "2026-02-01 09:40", "Li Na", "rain"):
        assert known in text, known
    assert "2 segments · 2 videos · 8 findings · 38.4 m, without segments of unknown length" in text


def test_segments_are_in_order_of_date_and_each_has_pages_of_its_own(html: str) -> None:
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert titles == ["Segment K12-K13", "Segment K9-K12"], "the first is a day earlier"
    assert "page: segment-1;" in html
    assert "page: segment-2;" in html


def test_a_finding_has_class_grade_place_time_note_and_who_decided(html: str) -> None:
    entry = next(one for one in re.findall(r"<article.*?</article>", html, re.DOTALL) if ">FS<" in one)
    assert "corrosion" in entry
    assert "reviewed by Ben, " in entry
    assert "No picture was stored." in entry
    joint = next(one for one in re.findall(r"<article.*?</article>", html, re.DOTALL) if "wide" in one)
    assert re.search(r"Grade</th><td><b>3</b>", joint)
    for known in ("12.10 m", "00:12.5", "9-3", "reviewed by Ana, ", "data:image/jpeg;base64,"):
        assert known in joint, known
    assert 'class="entry undecided"' not in joint


def test_rejected_proposals_are_absent_and_undecided_ones_are_marked(html: str) -> None:
    first, second = html.split('id="segment-2"')
    assert "41.0" not in _text(second), "a person rejected it"
    assert first.count('class="entry undecided"') == 4
    assert second.count('class="entry undecided"') == 0
    assert "Some findings are proposals by software that nobody decided about." in first


def test_condition_figures_are_derived_step_by_step_where_nothing_is_missing(html: str) -> None:
    first, second = (_text(part) for part in html.split('id="segment-2"'))
    assert "There are no condition figures yet. Still missing or wrong: d2.mp4, length is empty" in first
    assert "S = (0.5 + 5 + 10) / 3 = 5.1667" in second
    assert "F = max(S, Smax) = 10" in second
    assert "RI = 0.7 F + 0.1 K + 0.05 E + 0.15 T = 0.7 × 10 + 0.1 × 3 + 0.05 × 3 + 0.15 × 0 = 7.45" in second
    assert "Responsible: Ana." in second


def test_the_drawing_has_defects_at_their_distance(html: str) -> None:
    svg = html.split('id="segment-2"')[1].split("<svg")[1].split("</svg>")[0]
    top, bottom = 10.0, float(re.findall(r'y1="([\d.]+)" x2="38"', svg)[1])
    marks = [float(y) for y in re.findall(r'<circle cx="34" cy="([\d.]+)"', svg)]
    expected = [top + (bottom - top) * metres / 38.4 for metres in (4, 12.1, 16.4, 20)]
    assert marks == pytest.approx(expected, abs=0.01)
    assert ">K9 · 0 m<" in svg
    assert ">K12 · 38.4 m<" in svg


def test_an_upstream_inspection_is_drawn_from_the_lower_manhole_where_the_camera_began(html: str) -> None:
    svg = html.split('id="segment-1"')[1].split("<svg")[1].split("</svg>")[0]
    assert svg.index(">K13 · 0 m<") < svg.index(">K12 · ") if ">K12 · " in svg else ">K13 · 0 m<" in svg
    tip, foot = (float(y) for y in re.findall(r'stroke="#6d8fa3".*?M27\.5,([\d.]+)L29,([\d.]+)', svg, re.DOTALL)[0])
    assert foot < tip, "the water flows towards the lower manhole, at the top"


def test_without_distances_the_drawing_is_in_time_and_a_long_list_has_parts(tmp_path: Path, contract: Path) -> None:
    inspection_of(tmp_path / "out" / "a", "a.mp4", 30, distances=False)
    report(tmp_path / "out", out=tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Pipe and findings, part 2 of 2" in html
    assert "Distances are not known: stations are times in the video." in html
    assert html.count("<circle") == 30
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        height = float(re.search(r'viewBox="0 0 180 ([\d.]+)"', svg)[1])  # type: ignore[index]
        rows = [float(y) for y in re.findall(r'x1="59" y1="([\d.]+)"', svg)]
        assert all(after - before >= 5.9 for before, after in pairwise(rows)), "texts overlap"
        assert max(rows) < height


def test_without_a_store_every_page_says_that_nothing_was_reviewed(contract: Path) -> None:
    html = _html(contract / "out", contract, store=False)
    rules = re.findall(r"@page (cover|segment-\d) \{.*@bottom-left \{ content: (.*?); \}", html)
    assert [name for name, _ in rules] == ["cover", "segment-1", "segment-2"]
    for _, content in rules:
        assert css_string("Proposals by software, not reviewed by a person").strip('"') in content
        assert "demonstration" in content
    assert "they follow from grades given by a person, and nothing was reviewed" in html


def test_remarks_failed_videos_and_damaged_inspections_are_in_the_record(tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / "a", "a.mp4", remarks=REMARKS)
    (tmp_path / "out" / "b").mkdir()
    (tmp_path / "out" / "b" / "findings.json").write_text("{", encoding="utf-8")
    (tmp_path / "out" / "failures.csv").write_text("video,reason\nbroken.mp4,no video stream\n", encoding="utf-8")
    run = CliRunner().invoke(app, ["report", str(tmp_path / "out"), "--out", str(tmp_path / "r.html")])
    assert run.exit_code == 3, run.output
    assert "not in the record: " in run.output
    text = _text((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "40% of the frames are too dark to see anything." in text
    assert re.search(r"broken.mp4 : no video stream", text)
    assert "findings.json is damaged" in text


def test_several_videos_of_a_segment_are_one_segment(tmp_path: Path) -> None:
    for name in ("v10", "v9"):
        made_inspection(tmp_path / "out" / name, f"{name}.mp4")
    (tmp_path / "d.csv").write_text(HEAD + "v9,S1,,,,,30" + "," * 11 + "\nv10,S1" + "," * 16 + "\n", encoding="utf-8")
    done = report(tmp_path / "out", out=tmp_path / "r.html", inspection_data=tmp_path / "d.csv")
    assert (done.segments, done.findings) == (1, 8)
    text = _text((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert text.index("v9.mp4") < text.index("v10.mp4")


def test_the_record_has_the_inspection_data_that_inspect_was_given(tmp_path: Path) -> None:
    for name in ("a", "b"):
        made_inspection(tmp_path / "out" / name, f"{name}.mp4")
    store_data(tmp_path / "out" / "a", InspectionData(video="a.mp4", segment="K9-K12", material="clay"))
    report(tmp_path / "out", out=tmp_path / "record.html")
    text = _text((tmp_path / "record.html").read_text(encoding="utf-8"))
    assert "Segment K9-K12" in text
    assert "Material clay" in text
    (tmp_path / "data.csv").write_text("video,segment\na.mp4,K8\n")
    report(tmp_path / "out", out=tmp_path / "record.html", inspection_data=tmp_path / "data.csv")
    text = _text((tmp_path / "record.html").read_text(encoding="utf-8"))
    assert "Segment K8" in text
    assert "clay" not in text
    (tmp_path / "out" / "a" / STORED_DATA).write_text("{")
    report(tmp_path / "out", out=tmp_path / "record.html")
    assert "Segment a.mp4" in _text((tmp_path / "record.html").read_text(encoding="utf-8"))


def test_a_wrong_value_is_worded_in_the_language_of_the_record(contract: Path, tmp_path: Path) -> None:
    text = (contract / "data.csv").read_text(encoding="utf-8").replace("road,general", "downtown,general")
    data = tmp_path / "data.csv"
    data.write_text(text, encoding="utf-8")
    report(
        contract / "out",
        out=tmp_path / "record.html",
        store=contract / "review.sqlite",
        inspection_data=data,
        undecided="mark",
        language="zh",
    )
    page = (tmp_path / "record.html").read_text(encoding="utf-8")
    assert "d1_1.mp4，地区 K：现为 &#39;downtown&#39;；应填：centre, arterial, road, other 之一" in page
    assert "expected" not in page


def test_pictures_that_are_missing_damaged_or_elsewhere_are_said_to_be(tmp_path: Path) -> None:
    inspection = made_inspection(tmp_path / "out" / "a", "a.mp4")
    Image.new("RGB", (8, 8)).save(tmp_path / "private.jpg")
    (tmp_path / "out" / "a" / "CK-1.jpg").write_bytes(b"damaged")
    (tmp_path / "out" / "a" / "SL-1.jpg").unlink()
    text = (tmp_path / "out" / "a" / "findings.json").read_text(encoding="utf-8")
    moved = text.replace('"CJ-1.jpg"', f'"{tmp_path}/private.jpg"').replace('"CK-2.jpg"', '"../../private.jpg"')
    (tmp_path / "out" / "a" / "findings.json").write_text(moved, encoding="utf-8")
    assert len(inspection.defects) == 3
    report(tmp_path / "out", out=tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<img" not in html
    assert re.findall(r'<p class="empty">The picture is (.*?)\.</p>', html) == [
        "damaged",
        "missing",
        "missing",
        "damaged",
    ]


def test_pictures_are_scaled_for_print(tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / "a", "a.mp4")
    noise = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "out" / "a" / "CJ-1.jpg", quality=95)
    report(tmp_path / "out", out=tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    uris = re.findall(r"data:image/jpeg;base64,([^\"]*)", html)
    sizes = [Image.open(BytesIO(base64.b64decode(uri))).size for uri in uris]
    assert max(sizes) == (800, 450)
    assert len(html) < 1_000_000


@pytest.mark.parametrize("name", ["</style><script>alert(1)</script>.mp4", "\\22; } body { x: url(http://a)}.mp4"])
def test_names_of_others_are_neither_markup_nor_style(tmp_path: Path, name: str) -> None:
    made_inspection(tmp_path / "out" / "a", name)
    report(tmp_path / "out", out=tmp_path / "r.html", contractor=name)
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script" not in html
    assert html.count("</style>") == 1
    assert "url(" not in html.split("<style>")[1].split("</style>")[0]
    assert not re.search(r'(?:src|href)="(?!data:|#)', html)
    assert "default-src &#39;none&#39;; img-src data:" in html


def test_both_languages_have_the_same_texts() -> None:
    texts = all_texts(TEXTS)
    assert texts["en"].keys() == texts["zh"].keys()
    for key, text in texts["en"].items():
        names = [{field for _, field, *_ in string.Formatter().parse(one) if field} for one in (text, texts["zh"][key])]
        assert names[0] == names[1], key


def test_names_are_cut_to_their_place_and_sorted_as_people_do() -> None:
    assert columns_of(cut("管道检测" * 20 + "末尾.mp4", 30)) <= 30
    assert cut("管道检测" * 20 + "末尾.mp4", 30).endswith("末尾.mp4")
    assert sorted(["S10", "S9", "S1"], key=natural_order) == ["S1", "S9", "S10"]


@poppler
@pytest.mark.slow
@pytest.mark.usefixtures("_weasyprint")
def test_each_page_of_the_pdf_has_segment_date_contractor_notice_and_number(contract: Path) -> None:
    out = contract / "r.pdf"
    command = ["report", str(contract / "out"), "--out", str(out), "--store", str(contract / "review.sqlite")]
    command += ["--undecided", "mark", "--inspection-data", str(contract / "data.csv"), "--contractor", "Example Ltd"]
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 0, run.output
    pages = _pages(out)
    assert len(pages) == 5, "a cover, and two for each segment"
    assert pages[0].startswith("Sewer inspection record 2026-01-31 – 2026-02-01 · Example Ltd")
    assert re.search(r"1 K12-K13 Long Street 14 K12 → K13 600 2026-01-31 4 2", pages[0]), "the list has pages"
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of 5" in page[-120:]
        assert page[-160:].count("demonstration") == 2, "the name of the model and what it is"
    assert all(page.startswith("Segment K12-K13 2026-01-31 · Example Ltd") for page in pages[1:3])
    assert all(page.startswith("Segment K9-K12 2026-02-01 · Example Ltd") for page in pages[3:])
    info = subprocess.run(["pdfinfo", str(out)], capture_output=True, check=True).stdout.decode()
    assert "JavaScript:      no" in info
    assert "A4" in info
    report(contract / "out", out=out)  # an earlier record is replaced


@poppler
@pytest.mark.slow
@pytest.mark.usefixtures("_weasyprint")
def test_one_defect_takes_two_pages_in_any_language_and_with_any_name(tmp_path: Path) -> None:
    name = "管道检测视频_非常长的名字" * 4 + "😀🚧.mp4"
    inspection_of(tmp_path / "out" / "a", name, 1, remarks=REMARKS)
    store = ReviewStore(tmp_path / "review.sqlite")
    decide(store, tmp_path / "out" / "a", "CK@1000", status="accepted", grade=2, distance_m=3)
    finish(store, tmp_path / "out" / "a")
    store.close()
    for language in ("en", "zh"):
        report(
            tmp_path / "out",
            out=tmp_path / f"{language}.pdf",
            store=tmp_path / "review.sqlite",
            language=language,
        )
        pages = _pages(tmp_path / f"{language}.pdf")
        assert len(pages) <= 2
        assert (tmp_path / f"{language}.pdf").stat().st_size < 2_000_000
    assert "第 1 页，共" in pages[0]
    assert "错口" in pages[0]
    assert "管道检测视频" in pages[0]


def test_undecided_proposals_are_refused_in_one_line(contract: Path, tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match=r"nobody has decided about 4 proposals, in K12-K13; .* --undecided mark"):
        report(
            contract / "out",
            out=tmp_path / "r.html",
            store=contract / "review.sqlite",
            inspection_data=contract / "data.csv",
        )
    assert not (tmp_path / "r.html").exists()
    store = contract / "review.sqlite"
    done = report(contract / "out", out=tmp_path / "r.html", store=store, select=Selection(["d1_1"]))
    assert list(done.lines()) == ["1 segment, 4 findings, all decided; made by a demonstration model, not for real use"]


def test_a_video_that_nobody_reviewed_in_full_says_so(tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / "a", "a.mp4")
    store = ReviewStore(tmp_path / "review.sqlite")
    for item in ("CK@12500", "CK@41000", "SL@28000", "CJ@52250"):
        decide(store, tmp_path / "out" / "a", item, status="rejected")
    report(tmp_path / "out", out=tmp_path / "r.html", store=store.path)
    assert "Not reviewed in full by a person." in (tmp_path / "r.html").read_text(encoding="utf-8")
    finish(store, tmp_path / "out" / "a")
    report(tmp_path / "out", out=tmp_path / "r.html", store=store.path)
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Not reviewed in full by a person." not in html
    assert "No defects recorded" in html
    store.close()


def test_wrong_arguments_are_refused_in_one_line(
    contract: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = contract / "out"
    with pytest.raises(InspectionError, match=r"r.docx: a record is .html or .pdf"):
        report(out, out=tmp_path / "r.docx")
    with pytest.raises(InspectionError, match=r"no inspected video is called d1_7.mp4 \(near: d1_1.mp4\)"):
        report(out, out=tmp_path / "r.html", select=Selection(videos=["d1_7.mp4"]))
    with pytest.raises(InspectionError, match="holds no inspection"):
        report(tmp_path, out=tmp_path / "r.html")
    with pytest.raises(InspectionError, match="language is 'de'; expected en or zh"):
        report(out, out=tmp_path / "r.html", language="de")  # type: ignore[arg-type]
    with monkeypatch.context() as patch:
        patch.setitem(MAX_FINDINGS, ".html", 7)
        with pytest.raises(InspectionError, match=r"has 8 findings; a .html record may have 7; select some with --vid"):
            report(out, out=tmp_path / "r.html")
    (tmp_path / "letter.html").write_text("<p>Dear client</p>", encoding="utf-8")
    with pytest.raises(InspectionError, match="exists and is not a record"):
        report(out, out=tmp_path / "letter.html")


def test_a_record_of_a_day_has_the_inspections_of_its_date(tmp_path: Path) -> None:
    names = ("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    for name in names:
        made_inspection(tmp_path / "out" / name[0], name)
    data, out = tmp_path / "data.csv", tmp_path / "r.html"
    data.write_text("video,segment,date\na.mp4,A,2026-01-31\nb.mp4,B,2026-02-01\nd.mp4,D,31.1.2026\n")
    with closing(ReviewStore(tmp_path / "review.sqlite")) as store:
        decide(store, tmp_path / "out" / "c", DATA_KEY, segment="C", date="2026-01-31")
        day = Selection(date="31.1.2026")
        done = report(tmp_path / "out", out=out, inspection_data=data, store=store.path, select=day, undecided="mark")
    text = _text(out.read_text(encoding="utf-8"))
    assert (done.segments, done.unmatched) == (3, ())
    assert "2026-01-31" in text
    assert "2026-02-01" not in text
    with pytest.raises(InspectionError, match="has no inspection of 2026-03-01; the inspection data has 2 dates, 2026"):
        report(tmp_path / "out", out=out, inspection_data=data, select=Selection(date="2026-03-01"))
    with pytest.raises(InspectionError, match="none has a date; give it with --inspection-data"):
        report(tmp_path / "out", out=out, select=Selection(date="2026-03-01"))
    command = ["report", str(tmp_path / "out"), "--out", str(out), "--date", "soon"]
    assert str(CliRunner().invoke(app, command).exception).startswith("--date: 'soon' is not a date")


def test_a_missing_pdf_library_is_named(contract: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "weasyprint", None)
    with pytest.raises(
        InspectionError, match=r"a PDF needs WeasyPrint; install it with `pip install .urbanpipe\[pdf\]"
    ):
        report(contract / "out", out=tmp_path / "r.pdf")


def test_a_defect_that_a_person_added_has_its_frame_of_the_video_while_that_is_at_hand(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    video = write(tmp_path / "out" / "a.mp4")
    index = index_frames(video, hashed=True)
    made = made_inspection(tmp_path / "out" / "a", "a.mp4", index.duration_seconds)
    facts = made.video.model_copy(update={"digest": index.digest})
    findings = tuple(one.model_copy(update={"occurrences": (), "triage": "reject"}) for one in made.findings)
    write_inspection(made.model_copy(update={"video": facts, "findings": findings}), tmp_path / "out" / "a")
    store = ReviewStore(tmp_path / "review.sqlite")
    at = round(float(index.times_seconds[30]), 3)
    decide(store, tmp_path / "out" / "a", "+1", status="accepted", code="PL", seconds=at)
    finish(store, tmp_path / "out" / "a")

    def pictures(folder: str = "out") -> list[int]:
        report(tmp_path / folder, out=tmp_path / "r.html", store=store.path)
        text = (tmp_path / "r.html").read_text(encoding="utf-8")
        assert text.count("No picture was stored.") == (0 if "image/jpeg" in text else 1)
        found = [base64.b64decode(data) for data in re.findall(r"data:image/jpeg;base64,([\w+/=]+)", text)]
        return [number_in(np.asarray(Image.open(BytesIO(jpeg)).convert("RGB"))) for jpeg in found]

    assert pictures() == [30]
    decide(store, tmp_path / "out" / "a", "+2", status="accepted", code="PL", seconds=index.duration_seconds + 1)
    assert pictures() == [30, index.frame_count - 1]
    decide(store, tmp_path / "out" / "a", "+2", status="rejected")
    (tmp_path / "out").rename(tmp_path / "moved")
    assert pictures("moved") == [30]
    (tmp_path / "moved").rename(tmp_path / "out")
    video.write_bytes(video.read_bytes() + bytes(8))  # no longer what was inspected
    assert pictures() == []
    video.unlink()
    assert pictures() == []
    store.close()
