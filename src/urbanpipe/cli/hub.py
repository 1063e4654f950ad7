"""`urbanpipe hub`: bundles in repositories of the Hugging Face Hub."""

from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.output import show, warn, warn_of_demonstration
from urbanpipe.cli.verb import Result, verb
from urbanpipe.progress import size_text

app = typer.Typer(help="Share bundles through the Hugging Face Hub.", no_args_is_help=True, rich_markup_mode=None)

Repository = Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository on the Hub.")]


@app.command("push", short_help="Upload a bundle.")
@verb
def push(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder.")],
    repository: Repository,
    revision: Annotated[str | None, typer.Option(help="Branch; it is created if needed. Default: main.")] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Create a private repository, and refuse a public one.")
    ] = False,
    licence: Annotated[
        str | None, typer.Option("--license", help="Licence of the weights as the Hub writes it: apache-2.0, other...")
    ] = None,
) -> Result:
    """Upload a bundle with a model card and checksums. The token is that of `hf auth login` or HF_TOKEN."""
    from urbanpipe.hub.push import hub_push

    pushed = hub_push(bundle, repository, revision=revision, private=private, licence=licence)
    if licence is None:
        warn("urbanpipe: the model card names no licence, so others may not use the weights; give --license")
    whose = "private" if pushed.private else "public"
    show(f"{pushed.files} files, {size_text(pushed.size_bytes)}, in the {whose} repository {pushed.repository}")
    show(f"to get this version: urbanpipe hub pull {pushed.repository} --revision {pushed.commit} --out bundle")
    return Result(vars(pushed))


@app.command("pull", short_help="Download a bundle.")
@verb
def pull(
    repository: Repository,
    out: Annotated[Path, typer.Option("--out", help="Output folder of the bundle; it must not exist.")],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit; default: main.")] = None,
) -> Result:
    """Download a bundle and check every file; a bundle that fails a check is not kept."""
    from urbanpipe.hub.pull import hub_pull

    pulled = hub_pull(repository, out=out, revision=revision)
    if pulled.demonstration:
        warn_of_demonstration()
    show(f"{pulled.name}: {pulled.files} files, {size_text(pulled.size_bytes)}, commit {pulled.commit}")
    show(f"bundle: {pulled.folder}")
    return Result(vars(pulled))
