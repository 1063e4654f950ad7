"""Coded inspections of others: official samples, variants of the formats, and hostile files."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.second_isybau import read_pipes
from urbanpipe.contracts.coded.crosswalk import ReadCodes, codes_of
from urbanpipe.contracts.coded.isybau import NAMESPACES
from urbanpipe.contracts.coded.model import Code, CodedInspection
from urbanpipe.contracts.coded.reading import coded_format, read_coded
from urbanpipe.contracts.coded.safe_xml import MAX_DEPTH
from urbanpipe.contracts.coded.terms import term_of, term_of_code
from urbanpipe.contracts.coded.times import from_timecode, from_video_reference, timecode
from urbanpipe.errors import LabelError, TaxonomyError
from urbanpipe.taxonomy import default_taxonomy, load_taxonomy

SAMPLE = "data/exchange/isybau_2013_02/sample_condition_data.xml"
TEXT_SAMPLE = "data/exchange/en13508_2/example_13508_2.txt"
ROW = "<RZustand><Station>1.50</Station>{time}<InspektionsKode>BBA</InspektionsKode></RZustand>"


def isybau(path: Path, rows: str, films: str = "", namespace: str = NAMESPACES[0], coding: str = "8") -> Path:
    """A file with one inspection."""
    path.write_text(
        f"""<?xml version="1.0" encoding="UTF-8"?>
<Identifikation xmlns="{namespace}"><Datenkollektive><Zustandsdatenkollektiv>
<Auftraege><Auftrag><Auftragskennung>1</Auftragskennung><Kodiersystem>{coding}</Kodiersystem></Auftrag></Auftraege>
<InspizierteAbwassertechnischeAnlage><Objektbezeichnung>S1</Objektbezeichnung>
<OptischeInspektion><Auftragskennung>1</Auftragskennung><Videoablagereferenz>V1</Videoablagereferenz>
<Rohrleitung><Inspektionsrichtung>O</Inspektionsrichtung><Inspektionsdaten>{rows}</Inspektionsdaten></Rohrleitung>
</OptischeInspektion></InspizierteAbwassertechnischeAnlage><Filme>{films}</Filme>
</Zustandsdatenkollektiv></Datenkollektive></Identifikation>""",
        encoding="utf-8",
    )
    return path


def film(name: str, reference: str = "V1", shows: str = "S1", direction: str = "O", frame: str = "") -> str:
    return (
        f"<Film><Filmname>{name}</Filmname><Videoablagereferenz>{reference}</Videoablagereferenz>{frame}<FilmObjekte>"
        f"<FilmObjekt><Objektbezeichnung>{shows}</Objektbezeichnung><Typ>1</Typ>"
        f"<Inspektionsrichtung>{direction}</Inspektionsrichtung></FilmObjekt></FilmObjekte></Film>"
    )


def test_the_official_sample_is_read_as_by_a_second_reader(shared: Path) -> None:
    path = shared / SAMPLE
    file, second = read_coded(path), read_pipes(path)
    assert (coded_format(path), len(file.inspections), len(second)) == ("isybau", 133, 133)
    for one, pipe in zip(file.inspections, second, strict=True):
        assert (one.name, one.date, len(one.observations)) == (pipe.name, pipe.date, len(pipe.rows))
        assert {"O": "downstream", "U": "upstream"}[pipe.direction] == one.direction
        for row, other in zip(one.observations, pipe.rows, strict=True):
            assert (row.code, row.station) == (Code(*other.code), float(other.station))
            assert [row.clock_from or 0, row.clock_to or 0] == [int(text or 0) for text in other.clock]
            assert (row.continuous, row.number) == (other.section[0], int(other.section[1] or 0))
            if row.seconds is not None:
                assert timecode(row.seconds, None) == timecode(from_timecode(other.reference[1], None) or -1, None)
    assert file.notes[0] == "inspections of manholes and other structures, not read: 115"
    assert {one.material for one in file.inspections} >= {"concrete", "vitrified clay"}


def test_the_text_sample_is_read(shared: Path) -> None:
    path = shared / TEXT_SAMPLE
    file = read_coded(path)
    assert (coded_format(path), len(file.inspections), file.notes) == ("en13508", 19, ())
    first, third = file.inspections[0], file.inspections[2]
    assert (first.name, first.direction, first.upstream, first.downstream) == ("1", "downstream", "2925", "6")
    assert (third.direction, third.upstream, third.downstream, third.length_m) == ("upstream", "7", "8", 49.1)
    assert (first.observations[1].code, first.observations[1].clock_to) == (Code("BAC", "B"), 12)
    assert [row.seconds for row in third.observations[:3]] == [46 * 60 + 17, 46 * 60 + 45, 46 * 60 + 51]
    assert (file.inspections[4].observations[0].continuous, file.inspections[4].observations[0].number) == ("A", 3)


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_times_are_time_codes_seconds_or_frames_of_the_film(namespace: str, tmp_path: Path) -> None:
    given = [
        *("<Timecode>00012010</Timecode>", "<Timecode>2010</Timecode>", "<Videozaehler>75</Videozaehler>"),
        *("<Frame>1250</Frame>", "<Parameter/>", "<Timecode>00990000</Timecode>"),
    ]
    frame = "<Frame><fps>50</fps><Start>250</Start><Ende>9999</Ende></Frame>"
    rows = "".join(ROW.format(time=time) for time in given)
    (one,) = read_coded(isybau(tmp_path / "a.xml", rows, film("a.mp4", frame=frame), namespace)).inspections
    assert (one.films, one.frame_rate) == (("a.mp4",), 50)
    assert [row.seconds for row in one.observations] == [80.2, 20.2, 75.0, 20.0, None, None]
    file = read_coded(isybau(tmp_path / "b.xml", rows, film("a.mp4"), namespace))
    assert [row.seconds for row in file.inspections[0].observations] == [80.4, 20.4, 75.0, None, None, None]
    assert file.notes == ("times that are no times, or frame numbers of a film without a frame rate, not read: 2",)


def test_a_file_of_the_form_of_2024_is_read_as_far_as_its_elements_are_the_same(tmp_path: Path) -> None:
    """No schema of that form could be had; wherever its `Erfassungsart` stands, the other elements are read."""
    row = ROW.format(time="<Timecode>2010</Timecode>")
    known = read_coded(isybau(tmp_path / "a.xml", row, film("a.mp4"))).inspections
    for marked in (
        row.replace("</RZustand>", "<Erfassungsart>3</Erfassungsart></RZustand>"),
        f"<Erfassungsart>3</Erfassungsart>{row}",
    ):
        file = read_coded(isybau(tmp_path / "b.xml", marked, film("a.mp4"), NAMESPACES[1]))
        assert (file.inspections, file.notes) == (known, ())


@pytest.mark.parametrize(
    ("films", "expected"),
    [
        ("", ()),
        (film("a.mp4") + film("b.mp4", "V2", direction="U"), ("a.mp4",)),
        (film("a.mp4", "V2") + film("b.mp4", "V1"), ("b.mp4",)),
        (film("a.mp4", "V1", shows="S9"), ("a.mp4",)),
        (film("a.mp4", "V2", shows="S9"), ()),
        (film("a.mp4") + film("b.mp4"), ("a.mp4", "b.mp4")),
    ],
)
def test_the_film_of_an_inspection_is_that_of_its_pipe_or_its_reference(
    films: str, expected: tuple[str, ...], tmp_path: Path
) -> None:
    (one,) = read_coded(isybau(tmp_path / "a.xml", ROW.format(time="<Parameter/>"), films)).inspections
    assert one.films == expected
    assert one.video_reference == "V1"


HOSTILE = {
    "a document type": '<!DOCTYPE a [<!ENTITY b "c">]><Identifikation/>',
    "an external entity": '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "an unknown entity": "<a>&b;</a>",
    "deep": "<a>" * (MAX_DEPTH + 1),
    "cut": "<Identifikation><a>",
    "no namespace": "<Identifikation/>",
    "another root": f'<Other xmlns="{NAMESPACES[0]}"/>',
    "an encoding that does not exist": '<?xml version="1.0" encoding="nope"?><a/>',
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_that_is_hostile_or_no_isybau_is_one_line(what: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(HOSTILE[what].encode(encoding))
    assert coded_format(path) == "isybau"
    with pytest.raises(LabelError) as caught:
        read_coded(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    if what in ("a document type", "an external entity"):
        assert "DOCTYPE" in str(caught.value)


FRENCH = """#A1=ISO-8859-1:1998
#A2=fr
#A3=;
#A4=,
#A5="
#B01=AAA;AAB;AAD;AAF;AAK
C1;R2;R1;R2;B
#B02=ABF;ABS;ABQ
2024-05-06;D:\\films\\été.mpg;12,5
#C=I;A;B;G;H;N;F
0;BCD;A;;;00:00:00;
3,25;BBA;B;9;3;00:01:02:10;"Racines; fines"
12,5;BCE;;;;01:00:00.5;
#Z
#B01=AAA;ABA
C2;NF P16-000
"""


def test_the_text_format_has_other_separators_and_several_heads(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(FRENCH.encode("iso-8859-1"))
    one, other = read_coded(path).inspections
    assert (one.name, one.direction, one.upstream, one.downstream) == ("C1", "upstream", "R1", "R2")
    assert (one.date, one.films, one.length_m) == ("2024-05-06", ("D:\\films\\été.mpg",), 12.5)
    row = one.observations[1]
    assert (row.code, row.station, row.clock_from, row.clock_to) == (Code("BBA", "B"), 3.25, 9, 3)
    assert (row.seconds, row.remark) == (62.4, "Racines; fines")
    assert (other.name, other.en13508, other.observations) == ("C2", False, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#A1=utf-7\n#B01=AAA\nx\n", "#A1 names the encoding 'utf-7'"),
        ("#A1=UTF-8\n#A3=;;\n", "line 2: #A3 is ';;'; expected one character"),
        ("#A1=UTF-8\n", "holds no inspection"),
    ],
)
def test_text_that_is_not_in_the_format_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    assert coded_format(path) == "en13508"
    with pytest.raises(LabelError, match=message):
        read_coded(path)


def test_bytes_that_the_named_encoding_lacks_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"#A1=UTF-8\n#B01=AAA\n\xe9\n")
    with pytest.raises(LabelError, match="is not utf-8, as its #A1 says"):
        read_coded(path)


def test_observations_with_gaps_do_not_end_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    rows = ("1,75,BBA,13,A123", "far,?,,,", "1,2,3,4,5,6", ",,bbf,,")
    path.write_text("\n".join(["#B01=AAA,AAK", "x,Q", "#C=I,N,A,G,J", *rows]), encoding="utf-8")
    file = read_coded(path)
    (one,) = file.inspections
    assert one == CodedInspection("x", observations=one.observations)
    assert [(str(row.code), row.station, row.seconds) for row in one.observations] == [
        ("BBA", 1.0, None),
        ("BBF", None, None),
    ]
    assert file.notes == (
        "lines with more fields than their heading, not read: 1",
        "times that are no times, not read: 1",
        "observations without a code, not read: 1",
    )


@given(st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=6)), min_size=1, max_size=8), st.booleans())
def test_a_damaged_file_is_read_or_refused_in_one_line(damage: list[tuple[int, bytes]], is_xml: bool) -> None:
    with TemporaryDirectory() as folder:
        path = isybau(Path(folder, "a"), ROW.format(time="<Frame>5</Frame>") * 3, film("a.mp4"))
        data = bytearray(path.read_bytes() if is_xml else FRENCH.encode("iso-8859-1"))
        for position, content in damage:
            place = position % len(data)
            data[place : place + len(content)] = content
        path.write_bytes(data)
        try:
            read_coded(path)
        except LabelError as error:
            message = str(error)
        else:
            message = ""
    assert "\n" not in message


def test_the_crosswalk_reads_what_it_writes_where_the_code_is_complete() -> None:
    taxonomy = default_taxonomy()
    read = ReadCodes(taxonomy)
    written = {item.code: codes_of(item.code, taxonomy).written for item in taxonomy.classes if item.kind != "normal"}
    back = {code: read.class_of(known) for code, known in written.items() if known.main not in ("BDB", "BBE")}
    assert back == {code: code for code in back}
    assert len(back) == 10
    assert read.without_code == ["FZ", "CQ", "QF"]
    codes = Counter(read.class_of(Code(*text.split())) for text in ("BAB A C", "BAC", "BAJ C", "BBE", "BBE D", "BBE A"))
    assert codes == {"PL": 2, None: 2, "CR": 1, "ZW": 1}


def test_a_users_taxonomy_gives_its_own_codes(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    rows = {"ROOT": "BBA", "JOINT": "BAJ A/BAJ B", "GAP": "BAJ A", "HOLE": "BAC/BAO", "DIRT": "BBC A A"}
    path.write_text("".join(f'[[classes]]\ncode="{code}"\ncrosswalk={{en13508="{eu}"}}\n' for code, eu in rows.items()))
    taxonomy = load_taxonomy(path)
    written = {code: str(codes_of(code, taxonomy).written) for code in rows}
    assert written == {"ROOT": "BBA", "JOINT": "BAJ", "GAP": "BAJ A", "HOLE": "BDB", "DIRT": "BBC A A"}
    read = ReadCodes(taxonomy)
    texts = ("BBA C", "BAJ B", "BAJ A", "BAO", "BBC A", "BBC A A")
    expected = ["ROOT", "JOINT", None, "HOLE", None, "DIRT"]  # of BAJ A there are two
    assert [read.class_of(Code(*text.split())) for text in texts] == expected
    path.write_text('[[classes]]\ncode="X"\ncrosswalk={en13508="roots?"}\n')
    with pytest.raises(TaxonomyError, match=r"class X: the crosswalk en13508 has 'ROOTS\?'; write codes such as BAJ B"):
        ReadCodes(load_taxonomy(path))


def test_terms_have_codes_and_codes_terms() -> None:
    assert [term_of(text, "materials") for text in ("Beton", "混凝土", " PVC-U ", "wood")] == [
        *("concrete", "concrete", "unplasticised polyvinyl chloride", ""),
    ]
    assert (term_of_code("STZ", "materials", "isybau"), term_of_code("AE", "materials", "en13508")) == (
        *("vitrified clay", "vitrified clay"),
    )
    assert term_of_code("", "materials", "isybau") == ""


@pytest.mark.parametrize("text", ["", "12:60:00", "1:2:3", "٠٠:٠٠:٠١", "-5", "123456789", "1e3"])
def test_what_is_no_time_has_none(text: str) -> None:
    assert from_video_reference(text) is None
    assert text == "" or from_timecode(text, None) is None
