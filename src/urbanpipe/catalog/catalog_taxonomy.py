"""The classes of a catalog: a TOML file beside it, unless they are the default ones."""

from pathlib import Path

import tomli_w

from urbanpipe.errors import CatalogError
from urbanpipe.outputs import remove, write_text
from urbanpipe.taxonomy import Taxonomy, default_taxonomy, load_taxonomy, taxonomy_table


def taxonomy_file(catalog: Path) -> Path:
    """Return the file beside a catalog that holds its classes."""
    return catalog.with_name(f"{catalog.stem}-taxonomy.toml")


def catalog_taxonomy(catalog: Path, given: Taxonomy | None = None) -> Taxonomy:
    """Return the classes that a catalog remembers, or else the given ones, or else the default.

    Raises:
        CatalogError: the given classes are not those that the catalog remembers.
        TaxonomyError: the file beside the catalog cannot be read.
    """
    path = taxonomy_file(catalog)
    if not path.is_file():
        return given or default_taxonomy()
    remembered = load_taxonomy(path)
    if given is not None and (given.codes, given.exclusive) != (remembered.codes, remembered.exclusive):
        raise CatalogError(
            f"{catalog} has the classes {' '.join(remembered.codes)} of {path.name}, not {' '.join(given.codes)}; "
            "leave --taxonomy out, or make another catalog"
        )
    return remembered


def write_catalog_taxonomy(taxonomy: Taxonomy, catalog: Path) -> None:
    """Write the classes of a catalog beside it; no file stands for the default ones.

    Raises:
        OutputError: the file cannot be written.
    """
    path = taxonomy_file(catalog)
    if taxonomy == default_taxonomy():
        remove(path)
    else:
        write_text(path, tomli_w.dumps(taxonomy_table(taxonomy)))
