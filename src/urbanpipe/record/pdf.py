"""HTML to PDF with WeasyPrint, which loads nothing: neither from a network nor from a disk."""

import logging
from pathlib import Path
from typing import Any

from urbanpipe.errors import InspectionError
from urbanpipe.outputs import whole_path

_INSTALL = 'install it with `pip install "urbanpipe[pdf]"`, or write .html and print it in a browser'


def weasyprint() -> Any:
    """Return WeasyPrint.

    Raises:
        InspectionError: it, or the Pango libraries that it needs, are not installed.
    """
    try:
        import weasyprint as module
    except ImportError:
        raise InspectionError(f"a PDF needs WeasyPrint; {_INSTALL}") from None
    except OSError as error:
        reason = " ".join(str(error).split())[:120]
        raise InspectionError(
            f"WeasyPrint does not find the Pango libraries ({reason}); install the packages of your system, such as "
            "libpango-1.0-0 and libpangoft2-1.0-0, or write .html and print it in a browser"
        ) from None
    return module


def write_pdf(html: str, out: Path, mark: str) -> None:
    """Write a document as PDF.

    Args:
        html: the document.
        out: the file.
        mark: a text that the file holds uncompressed, by which it is recognised.

    Raises:
        InspectionError: WeasyPrint is not installed.
        OutputError: the file cannot be written.
    """
    module = weasyprint()
    logging.getLogger("weasyprint").setLevel(logging.ERROR)  # it warns of rules that only browsers know
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    fetcher = module.urls.URLFetcher(allowed_protocols=["data"], allow_redirects=False)

    def add_mark(_document: object, pdf: Any) -> None:
        pdf.add_object(module.pdf.pydyf.Stream([mark.encode()]))  # other texts are in compressed parts

    with whole_path(out) as temporary:
        module.HTML(string=html, url_fetcher=fetcher).write_pdf(temporary, finisher=add_mark)
