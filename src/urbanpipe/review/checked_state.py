"""Checks what a page sends before it is stored."""

from typing import Any

from pydantic import ValidationError

from urbanpipe.contracts.findings import Inspection
from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.errors import ReviewError
from urbanpipe.review_store.decision import DATA_KEY, REVIEW_KEY, Decision, VideoReview, is_key
from urbanpipe.review_store.records import State
from urbanpipe.settings import complaint


def checked_state(key: str, state: State, inspection: Inspection, known: set[str]) -> State:
    """Return a state with all its fields, if it is valid for the item and the video.

    Raises:
        ReviewError: it is not.
    """
    try:
        if key == REVIEW_KEY:
            return VideoReview.model_validate(state or {}).model_dump(mode="json")
        if key == DATA_KEY:
            return _data(state or {}, inspection)
        if not is_key(key) or (key not in known and not key.startswith("+")):
            raise ReviewError(f"there is no proposal {key!r} in this video; reload the page")
        return None if state is None else _decision(state, inspection)
    except ValidationError as error:
        raise ReviewError(f"{key}: {complaint(error)}") from error


def _decision(state: dict[str, Any], inspection: Inspection) -> State:
    decision = Decision.model_validate(state)
    codes = [finding.code for finding in inspection.findings]
    if decision.code not in codes:
        raise ReviewError(f"{decision.code!r} is no class of this inspection; expected one of {', '.join(codes)}")
    end = inspection.video.duration_seconds
    late = [
        at for at in (decision.seconds, decision.begin_seconds, decision.end_seconds) if at is not None and at > end
    ]
    if late:
        raise ReviewError(f"{late[0]:g} s lies after the end of the video, which lasts {end:g} s")
    return decision.model_dump(mode="json")


def _data(state: dict[str, Any], inspection: Inspection) -> State:
    data = InspectionData.model_validate(state | {"video": inspection.video.name})
    return data.model_dump(mode="json", exclude={"video"})
