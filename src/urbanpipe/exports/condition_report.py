"""The verb `condition`: condition figures of a table that a person graded, as a file and as lines of text."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from urbanpipe.archive_store.open_source import is_archive
from urbanpipe.contracts.inspection_sources import Source
from urbanpipe.errors import InspectionError
from urbanpipe.exports.columns import LANGUAGES, Language
from urbanpipe.exports.condition import Figures, IndexFigure, Place, SegmentCondition, segment_condition
from urbanpipe.exports.condition_page import MARK, condition_html
from urbanpipe.exports.condition_reviewed import reviewed_table
from urbanpipe.exports.condition_table import FilledTable, Refused, read_filled
from urbanpipe.exports.csv_safety import csv_text
from urbanpipe.exports.rules import Index, Parameter, Rules, read_rules
from urbanpipe.outputs import write_json, write_text

FORMAT = "urbanpipe condition 1"
SUFFIXES = (".json", ".csv", ".html")
_DIGITS = 4
_HEAD = 2_000  # characters of a page up to its generator and more


@dataclass(frozen=True)
class Condition:
    """Figures of all segments that a person graded.

    Attributes:
        rules: the rules applied.
        segments: figures per segment, in the order of the table.
        refused: segments with cells that are still empty.
        language: language of the texts, `en` or `zh`.
        notes: which videos have no inspection, and why.
    """

    rules: Rules
    segments: tuple[SegmentCondition, ...]
    refused: tuple[Refused, ...]
    language: Language
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; figures are rounded to four decimals."""
        return {
            "format": FORMAT,
            "rules": {"name": self.rules.name, "year": self.rules.year, "version": self.rules.version},
            "segments": [self._segment(one) for one in self.segments],
            "refused": [{"segment": one.name, "missing": self._missing(one)} for one in self.refused],
        }

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield one flat row per segment; those without figures come last, with the reason."""
        for one in self.segments:
            yield dict(_flat(self._segment(one)))
        for refused in self.refused:
            yield {"segment": refused.name, "not_computed": "; ".join(self._missing(refused))}

    def lines(self) -> Iterator[str]:
        """Yield a few lines per segment, for a person."""
        for one in self.segments:
            segment = one.segment
            defects = f"{one.defects} defect{'' if one.defects == 1 else 's'}"
            yield f"{segment.name}: {segment.length:f} m, {defects}, reviewed by {segment.reviewer}"
            for parameter, figures, rule, index in self._halves(one):
                level = f"{figures.level.name}, {figures.level.in_(self.language)}"
                dense = f"; {figures.density_level.in_(self.language)}" if figures.density_level else ""
                yield f"  {parameter.parameter} {figures.value:.2f} {level}{dense}"
                yield f"  {rule.index} {index.value:.2f} {index.level.name}, {index.level.in_(self.language)}"
        for refused in self.refused:
            more = f" (and {len(refused.missing) - 1} more)" if len(refused.missing) > 1 else ""
            yield f"{refused.name}: no figures: {refused.missing[0]}{more}"
        yield from self.notes

    def _missing(self, refused: Refused) -> list[str]:
        return [cell.text(self.language) for cell in refused.missing]

    def _halves(self, one: SegmentCondition) -> tuple[tuple[Parameter, Figures, Index, IndexFigure], ...]:
        return (
            (self.rules.structural, one.structural, self.rules.repair, one.repair),
            (self.rules.functional, one.functional, self.rules.maintenance, one.maintenance),
        )

    def _segment(self, one: SegmentCondition) -> dict[str, Any]:
        """Return the values of a segment, grouped; figures are named as in the standard."""
        values: dict[str, Any] = {
            "segment": one.segment.name,
            "length_m": _plain(one.segment.length),
            "diameter_mm": _plain(one.segment.diameter),
            "reviewed_by": one.segment.reviewer,
            "defects": one.defects,
            "recorded": list(one.segment.recorded),
            "struck": one.segment.struck,
        }
        for parameter, figures, rule, index in self._halves(one):
            values[parameter.parameter] = _parameter(parameter, figures, self.language)
            values[rule.index] = {
                "value": _plain(index.value),
                "grade": index.level.name,
                "text": index.level.in_(self.language),
                "counted": {name: _plain(value) for name, value in index.counted.items()},
            }
        return values


def condition(
    table: str | Path,
    *,
    out: Path,
    store: Path | None = None,
    inspection_data: Source | Sequence[Source] | None = None,
    rules: Path | None = None,
    language: Language = "en",
    allow_repeats: bool = False,
) -> Condition:
    """Compute and write the condition figures of segments that a person graded.

    Args:
        table: XLSX file of `urbanpipe export --to cjj181`, filled in; with `store` the output folder of `inspect`,
            or an archive.
        out: `.json`, `.csv` with one row per segment, or `.html`, which ranks the segments beside their pictures.
        store: the decisions of `urbanpipe review`, with grades and distances.
        inspection_data: with `store`, CSV or XLSX with the length, diameter, region and soil of each segment, or
            rules for paths; what people entered in the review comes first.
        rules: rules to use instead of the packaged rules of CJJ 181-2012.
        language: language of the texts, `en` or `zh`.
        allow_repeats: whether rows with the same code at the same distance of a segment, or with the same code at
            the same time of a video, are different defects; else they are refused.

    Returns:
        The figures, and the segments without figures because a cell is empty.

    Raises:
        TableError: cells are invalid; it has a line for each of them.
        ArchiveError: an archive cannot be read.
        InspectionError: the table cannot be read, no segment is complete, or `out` has another suffix.
        RecipeError: `rules` does not contain rules.
        OutputError: `out` cannot be written.
    """
    out = Path(out)
    _check(out, language)
    known = read_rules(rules)
    if inspection_data and not store:
        raise InspectionError("inspection data needs a --store; without one the table has the data of its segments")
    if store is None:
        done = _figures(read_filled(Path(table), known, allow_repeats=allow_repeats), table, known, language)
        _write(done, out, Path(table).parent)
        return done
    with tempfile.TemporaryDirectory(prefix="urbanpipe-") as copied:
        base = Path(copied) if is_archive(table) else Path(table)
        pictures = base if out.suffix.lower() == ".html" else None
        filled = reviewed_table(
            table,
            Path(store),
            known,
            pictures=pictures,
            inspection_data=inspection_data,
            language=language,
            allow_repeats=allow_repeats,
        )
        done = _figures(filled, table, known, language)
        _write(done, out, base)
    return done


def _check(out: Path, language: str) -> None:
    """Check suffix and language before anything is read."""
    if out.suffix.lower() not in SUFFIXES:
        raise InspectionError(
            f"{out}: condition figures are written as .json, .csv or .html; give --out with such a suffix"
        )
    if language not in LANGUAGES:
        raise InspectionError(f"language is {language!r}; expected {' or '.join(LANGUAGES)}")


def _figures(filled: FilledTable, table: str | Path, rules: Rules, language: Language) -> Condition:
    """Return the figures of the complete segments.

    Raises:
        InspectionError: there are none.
    """
    if not filled.segments:
        cells = [cell for one in filled.refused for cell in one.missing]
        others = len(cells) - 1
        more = f" (and {others} more {'cell is' if others == 1 else 'cells are'} empty)" if others else ""
        raise InspectionError(f"{table} has no segment that is filled in: {cells[0]}{more}")
    segments = tuple(segment_condition(one, rules) for one in filled.segments)
    return Condition(rules, segments, filled.refused, language, filled.notes)


def _write(done: Condition, out: Path, base: Path) -> None:
    """Write the figures; replace older figures but no other file. Paths of pictures are relative to `base`."""
    if out.is_file() and not _holds_figures(out):
        raise InspectionError(
            f"{out} exists and does not contain condition figures; give another --out, or delete it yourself"
        )
    if out.suffix.lower() == ".json":
        write_json(out, done.to_json())
        return
    if out.suffix.lower() == ".html":
        write_text(out, condition_html(done.segments, done.refused, done.rules, done.language, base))
        return
    rows = list(done.rows())
    header = [*dict.fromkeys(key for row in rows for key in row)]
    cells = [[row.get(key) for key in header] for row in rows]
    write_text(out, "\ufeff" + csv_text(header, cells))  # without the mark Excel garbles Chinese


def _holds_figures(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            return bool(json.loads(text)["format"] == FORMAT)
        if path.suffix.lower() == ".html":
            return f'<meta name="generator" content="{MARK}">' in text[:_HEAD]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False
    return text.startswith("segment,length_m,diameter_mm,reviewed_by,")


def _parameter(parameter: Parameter, figures: Figures, language: Language) -> dict[str, Any]:
    density = figures.density_level
    return {
        parameter.mean: _plain(figures.mean),
        parameter.maximum: _plain(figures.maximum),
        "value": _plain(figures.value),
        "grade": figures.level.name,
        "text": figures.level.in_(language),
        "places": [_place(one) for one in figures.places],
        "density": _plain(figures.density),
        "density_class": density.name if density else None,
        "density_text": density.in_(language) if density else None,
    }


def _place(one: Place) -> dict[str, Any]:
    """Return a place as JSON values, which show which defects were merged."""
    values = {"from_m": one.start, "to_m": one.end, "score": one.score, "weight": one.weight}
    return {key: _plain(value) for key, value in values.items()} | {"defects": one.defects}


def _plain(value: Decimal) -> float:
    return float(round(value, _DIGITS))


def _flat(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, object]]:
    """Yield values with flat keys: `F_Smax` for `Smax` in `F`, `F` for its `value`; of places only their number."""
    for key, value in values.items():
        name = before.rstrip("_") if key == "value" and before else f"{before}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}_")
        else:
            yield name, len(value) if key == "places" else " ".join(value) if isinstance(value, list) else value
