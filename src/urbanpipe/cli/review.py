"""`urbanpipe review`."""

from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.options import Inspections, InspectionSources
from urbanpipe.cli.output import show
from urbanpipe.errors import ReviewError


def command(
    inspected: Inspections,
    store: Annotated[
        Path | None, typer.Option(help="File of the decisions, on a local disk; default: review.sqlite in the folder.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8010,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine people log in with accounts.")
    ] = "127.0.0.1",
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    reviewer: Annotated[str, typer.Option(help="Your name in the record; default: the name of your account.")] = "",
    inspection_data: InspectionSources = None,
    add_account: Annotated[
        str, typer.Option(metavar="NAME", help="Add an account, or change its password, and exit.")
    ] = "",
    role: Annotated[str, typer.Option(help="Role of the account: reviewer or lead.")] = "reviewer",
) -> None:
    """Review proposals in a browser: accept, reject, correct and add defects; decisions have a file of their own."""
    try:
        from urbanpipe.review.people import Role, add_person
        from urbanpipe.review.serve import review, store_file
        from urbanpipe.review_store.store import ReviewStore
    except ModuleNotFoundError as error:
        raise ReviewError(f"`review` needs the package {error.name}; run `pip install 'urbanpipe[review]'`") from error
    if add_account:
        if role not in list(Role):
            raise ReviewError(f"the role is {role!r}; expected reviewer or lead")
        path = store_file(inspected, store)
        password = typer.prompt(f"password of {add_account}", hide_input=True, confirmation_prompt=True)
        person = add_person(ReviewStore(path), add_account, Role(role), password)
        show(f"{person.name} can log in as {person.role}: {path}")
        return
    review(
        inspected,
        store=store,
        host=host,
        port=port,
        reviewer=reviewer,
        inspection_data=inspection_data,
        open_browser=open_browser,
        say=show,
    )
