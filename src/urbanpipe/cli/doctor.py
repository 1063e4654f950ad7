"""`urbanpipe doctor`."""

from urbanpipe.cli.output import show
from urbanpipe.cli.verb import Result


def command() -> Result:
    """Check this installation and machine: versions, extras, GPU, memory, disk, folders. Uses no network.

    Exit status 1: something that every verb needs is broken.
    """
    from urbanpipe.maintenance.doctor import doctor

    diagnosis = doctor()
    for line in diagnosis.lines():
        show(line)
    return Result(diagnosis.as_json(), status=0 if diagnosis.usable else 1)
