"""XML from others, read without document types, entities or external files, and within bounds."""

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from urbanpipe.errors import LabelError
from urbanpipe.text_files import read_bytes

MAX_BYTES = 64 << 20
MAX_ELEMENTS = 2_000_000
MAX_DEPTH = 40
_SEPARATOR = " "  # cannot occur in a namespace or a name


class _RefusedError(Exception):
    pass


class _Builder:
    """Builds a tree of elements without namespaces."""

    def __init__(self) -> None:
        self.tree = TreeBuilder()
        self.namespace = ""
        self.depth = self.elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(_SEPARATOR)
        if not self.elements:
            self.namespace = namespace
        self.depth += 1
        self.elements += 1
        if self.depth > MAX_DEPTH or self.elements > MAX_ELEMENTS:
            raise _RefusedError(f"has more than {MAX_ELEMENTS:,} elements, or more than {MAX_DEPTH} within each other")
        self.tree.start(local, attributes)

    def end(self, name: str) -> None:
        self.depth -= 1
        self.tree.end(name.rpartition(_SEPARATOR)[2])

    def doctype(self, *_: object) -> None:
        raise _RefusedError("has a document type (DOCTYPE), which exchange files do not have; remove it")


def read_xml(path: Path) -> tuple[str, Element]:
    """Read an XML file.

    Returns:
        The namespace of the root element, and the root with the names of all elements without their namespaces.

    Raises:
        LabelError: the file cannot be read, is not XML, has a document type, or is too large.
    """
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.tree.data
    parser.StartDoctypeDeclHandler = builder.doctype
    parser.buffer_text = True
    try:
        parser.Parse(read_bytes(path, max_bytes=MAX_BYTES), True)
    except _RefusedError as error:
        raise LabelError(f"{path} {error}") from error
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise LabelError(f"{path} is not XML: {error}") from error
    return builder.namespace, builder.tree.close()
