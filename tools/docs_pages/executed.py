"""Notes on the site that say which commands a test runs."""

import re

MARK = "<!-- a test runs this -->\n"
RUN = "<small>A test runs these commands.</small>\n"
NOT_RUN = (
    "<small>Where nothing else is said, no test runs the commands of this page; "
    "a test checks that they exist, with their options.</small>\n"
)
_MARKED = re.compile(re.escape(MARK) + r"```bash\n.*?^```\n", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^ *urbanpipe [a-z]", re.MULTILINE)
_CODE = re.compile(r"^```bash\n.*?^```$|(?:^    .*\n?)+", re.MULTILINE | re.DOTALL)


def noted(text: str) -> str:
    """Return a page with a note below each block that a test runs, and one at the end about the others."""
    others = _CODE.findall(_MARKED.sub("", text))
    with_notes = _MARKED.sub(lambda block: f"{block.group()}\n{RUN}", text)
    return f"{with_notes}\n{NOT_RUN}" if any(_COMMAND.search(block) for block in others) else with_notes
