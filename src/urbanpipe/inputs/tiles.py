"""Frames as tiles of one image."""

from urbanpipe.inputs.view import Frames


def lay_out(tiles: Frames, rows: int, columns: int) -> Frames:
    """Put tiles together, row by row.

    Args:
        tiles: (rows * columns, channels, height, width).
        rows: rows of tiles.
        columns: columns of tiles.

    Returns:
        (channels, rows * height, columns * width), same dtype. Tile `i` covers `tile_box(i, ...)`.
    """
    count, channels, height, width = tiles.shape
    if count != rows * columns:
        raise ValueError(f"{count} tiles do not fill {rows} rows of {columns}")
    grid = tiles.reshape(rows, columns, channels, height, width)
    return grid.transpose(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)


def tile_box(position: int, columns: int, tile_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in pixels of the tile at `position` (row by row), right and bottom exclusive."""
    width, height = tile_size
    row, column = divmod(position, columns)
    return column * width, row * height, (column + 1) * width, (row + 1) * height
