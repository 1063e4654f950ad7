"""Frames as tiles of one image."""

from urbanpipe.inputs.view import Frames


def lay_out(tiles: Frames, rows: int, columns: int) -> Frames:
    """Lay out tiles as one image, row by row.

    Args:
        tiles: (rows * columns, channels, height, width).
        rows: rows of tiles.
        columns: columns of tiles.

    Returns:
        (channels, rows * height, columns * width), same dtype. Tile `i` covers `tile_box(i, ...)`.

    Example:
        >>> import numpy as np
        >>> tiles = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
        >>> lay_out(tiles, rows=2, columns=2)[0].tolist()
        [[0, 1], [2, 3]]
    """
    count, channels, height, width = tiles.shape
    if count != rows * columns:
        raise ValueError(f"{count} tiles do not fill {rows} rows of {columns}")
    grid = tiles.reshape(rows, columns, channels, height, width)
    return grid.transpose(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)


def tile_box(position: int, columns: int, tile_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom in pixels of the tile at `position` (row by row); the end is exclusive.

    Example:
        >>> tile_box(3, columns=2, tile_size=(64, 48))
        (64, 48, 128, 96)
    """
    width, height = tile_size
    row, column = divmod(position, columns)
    return column * width, row * height, (column + 1) * width, (row + 1) * height
