"""Self-contained HTML pages: embedded style and script, and a content security policy that allows nothing else."""

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from urbanpipe.report.wording import Wording, clock, sureness, visible

_TEMPLATES = Path(__file__).with_name("templates")
_ALWAYS = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'"
_MEDIA = "media-src 'self' file:"  # some browsers do not treat a file next to a file:// page as 'self'


def page(template: str, script: str, wording: Wording, content: Mapping[str, object]) -> str:
    """Return an HTML page.

    Args:
        template: name of the template.
        script: name of the JavaScript file to embed.
        wording: texts, available as `t` in the template.
        content: other variables of the template. All of them are escaped, and characters in them that change the
            direction of text or cannot be written are replaced by a mark.
    """
    styles, code = (_source("style.css"), _source("dark.css")), _source(script)
    policy = f"{_ALWAYS}; {_MEDIA}; style-src {_hashes(*styles)}; script-src {_hashes(code)}"
    inlined = {"style": Markup(styles[0]), "dark": Markup(styles[1]), "script": Markup(code), "policy": policy}
    return _environment(_TEMPLATES).get_template(template).render({**content, **inlined, "t": wording})


def document(template: Path, style: str, wording: Wording, content: Mapping[str, object]) -> str:
    """Return an HTML document for print, without scripts, links or anything to load.

    Args:
        template: file of the template, which embeds `style` and names `policy`.
        style: the style sheet.
        wording: texts, available as `t` in the template.
        content: other variables of the template, as in `page`.
    """
    inlined = {"style": Markup(style), "policy": f"{_ALWAYS}; style-src {_hashes(style)}"}
    return _environment(template.parent).get_template(template.name).render({**content, **inlined, "t": wording})


@lru_cache
def _environment(templates: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = clock
    environment.filters["sureness"] = sureness
    return environment


def _visible(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@lru_cache
def _source(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _hashes(*sources: str) -> str:
    digests = (hashlib.sha256(source.encode()).digest() for source in sources)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
