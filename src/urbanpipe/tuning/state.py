"""What a later call of `fit` in the same folder needs to know."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from urbanpipe.errors import RunError
from urbanpipe.outputs import write_text
from urbanpipe.tuning.figures import Point

STATE = "state.json"


class State(BaseModel):
    """The state of all calls in one folder.

    Attributes:
        spent_seconds: wall time that they used.
        steps: `seconds`, `latest_seconds` (of its latest fold), number of trained `folds` and `done_after_seconds` of
            each step, by name.
        points: the combinations, in the order in which they were made.
        eligible: folds to leave out for which a run is in the last combination, by name of the run; a run that is not
            in it is there for all.
        tried: folds to leave out whose choice has tried a run, by name of the run.
    """

    model_config = ConfigDict(ser_json_inf_nan="constants")

    spent_seconds: float = Field(ge=0)
    steps: dict[str, dict[str, float]]
    points: list[Point] = []
    eligible: dict[str, set[int]] = {}
    tried: dict[str, set[int]] = {}


def read_state(folder: Path) -> State:
    """Return the state that earlier calls left in a folder; one of no time spent if there were none.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / STATE
    if not path.exists():
        return State(spent_seconds=0.0, steps={})
    try:
        return State.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise RunError(f"{path} is damaged; delete it to count the time from now on") from error


def write_state(state: State, folder: Path) -> None:
    """Write the state.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(folder / STATE, state.model_dump_json(indent=1) + "\n")
