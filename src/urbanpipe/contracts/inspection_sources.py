"""Where inspection data comes from: tables that people fill in, and rules by which the path of a video names fields."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from urbanpipe.contracts.inspection_data import InspectionData, joined, read_data_of
from urbanpipe.errors import InspectionError
from urbanpipe.settings import complaint

Source = Path | str
"""A file, or a rule such as `{street}/{from_manhole}-{to_manhole}*`."""
_PART = re.compile(r"\{([^{}]*)\}|(\*)|([^{}*]+)|(.)")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}$")
_FIELD, _WORD = "[^/]+?)", r"[^/\s_,;()\[\]]+)"  # a field before a star ends where a word ends
_EXAMPLE = "such as {street}/{from_manhole}-{to_manhole}*"


def read_sources(
    sources: Source | Sequence[Source],
    videos: Mapping[str, str],
    *,
    unchecked: dict[str, InspectionData] | None = None,
) -> tuple[dict[str, InspectionData], tuple[str, ...]]:
    """Read inspection data and join it with videos; of several sources, the first that knows a field counts.

    Args:
        sources: CSV or XLSX files, or rules for paths.
        videos: paths by distinct name.
        unchecked: gets the data that was read by OCR and that nobody has checked, by video; None refuses it.

    Returns:
        The data by video, and the names in files without a video.

    Raises:
        InspectionError: a file cannot be read, a rule or a value is wrong, or a source fits no video.
    """
    data: dict[str, InspectionData] = {}
    unmatched: list[str] = []
    for source in [sources] if isinstance(sources, Path | str) else sources:
        if is_rule(source):
            read = data_of_paths(str(source), videos)
        else:
            read, others = read_data_of(Path(source), list(videos), unchecked=unchecked)
            unmatched += others
        data |= {name: joined(one, data[name]) if name in data else one for name, one in read.items()}
    return data, tuple(unmatched)


def is_rule(source: Source) -> bool:
    """Return whether a source is a rule and not a file."""
    text = str(source)
    return "{" in text and "}" in text and not Path(text).exists()


def data_of_paths(rule: str, videos: Mapping[str, str]) -> dict[str, InspectionData]:
    """Return the fields that the ends of paths name; videos whose path does not fit have none.

    Args:
        rule: the last parts of a path with fields of `InspectionData` in braces; `*` stands for any text within a part,
            and a field before it ends at a space, underscore, comma or bracket. The suffix of the file may be left out.
        videos: paths by name.

    Raises:
        InspectionError: the rule is wrong, fits no path, or a path has a value that its field does not allow.
    """
    pattern = _pattern(rule)
    found = {name: _match(pattern, path.replace("\\", "/")) for name, path in videos.items()}
    data = {name: _data(name, match.groupdict(), rule) for name, match in found.items() if match}
    if videos and not data:
        raise InspectionError(f"the rule {rule} fits none of the videos, the first is {next(iter(videos.values()))}")
    return data


def _match(pattern: re.Pattern[str], path: str) -> re.Match[str] | None:
    """Match a path without its suffix, or with it, which the rule then names."""
    return pattern.fullmatch(_SUFFIX.sub("", path)) or pattern.fullmatch(path)


def _pattern(rule: str) -> re.Pattern[str]:
    """Return the expression of a rule."""
    parts: list[str] = []
    fields: list[str] = []
    for field, star, text, wrong in _PART.findall(rule.replace("\\", "/").lstrip("/")):
        if wrong:
            raise InspectionError(f"the rule {rule} has a single {wrong}; write fields in braces, {_EXAMPLE}")
        if star and parts and parts[-1].endswith(_FIELD):
            parts[-1] = parts[-1].removesuffix(_FIELD) + _WORD
        if star or text:
            parts.append("[^/]*" if star else re.escape(text))
            continue
        if field not in InspectionData.model_fields or field == "video" or field in fields:
            known = ", ".join(name for name in InspectionData.model_fields if name != "video")
            raise InspectionError(f"the rule {rule} has {{{field}}}; the fields, once each, are {known}")
        fields.append(field)
        parts.append(f"(?P<{field}>{_FIELD}")
    if not fields:
        raise InspectionError(f"the rule {rule} has no field; expected fields in braces, {_EXAMPLE}")
    return re.compile(f"(?:.*/)?{''.join(parts)}")


def _data(name: str, fields: Mapping[str, str], rule: str) -> InspectionData:
    try:
        return InspectionData.model_validate({key: value.strip() for key, value in fields.items()} | {"video": name})
    except ValidationError as error:
        raise InspectionError(f"the rule {rule} gives {name} a wrong value: {complaint(error)}") from error
