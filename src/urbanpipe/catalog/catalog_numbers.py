"""Numbers in the cells of a catalog."""

from urbanpipe.errors import CatalogError


def number_cell(value: float) -> str:
    """Return the cell of a number; 0 stands for an unknown value and is empty."""
    return "" if value == 0 else str(round(value, 6)) if isinstance(value, float) else str(value)


def parse_number(cell: str, kind: type[float] | type[int], where: str) -> float:
    """Return the number in a cell; 0 if it is empty.

    Raises:
        CatalogError: it is no number of 0 or more; the message begins with `where`.
    """
    try:
        value = float(cell or 0) if kind is float or "E" in cell.upper() else int(cell or 0)
    except ValueError as error:
        raise CatalogError(f"{where} is {cell!r}; it must be a number of 0 or more, or empty") from error
    if not 0 <= value < float("inf"):
        raise CatalogError(f"{where} is {cell!r}; it must be a number of 0 or more, or empty")
    return kind(value)  # spreadsheets write large whole numbers as 1.79E+18
