"""An S3 service of a few lines on this machine that fails when a test wants it to."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

KEY, SECRET = "scripted-key", "scripted-secret-that-no-message-may-show"
NO_BUCKET = (404, "NoSuchBucket")
REFUSED = (403, "SignatureDoesNotMatch")
THROTTLED = (503, "SlowDown")
_TIME = "2026-01-02T03:04:05.000Z"


@dataclass
class ScriptedS3:
    """Objects, and the error that the service answers with.

    Attributes:
        objects: content by bucket and key, such as `videos/a.mp4`.
        error: status and code of the answers while `errors` is above 0; each such answer reduces it.
        errors: how many answers are errors from now on.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    error: tuple[int, str] = THROTTLED
    errors: int = 0

    def fail(self, error: tuple[int, str], times: int = 10**6) -> None:
        """Answer with an error from now on, `times` times."""
        self.error, self.errors = error, times


class _Handler(BaseHTTPRequestHandler):
    service: ScriptedS3

    def do_GET(self) -> None:
        path, query = self._path()
        if self._failed():
            return
        if "list-type" in query:
            self._answer(200, _listing(self.service.objects, path, query.get("prefix", [""])[0]))
        elif path in self.service.objects:
            self._answer_part(self.service.objects[path])
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _ = self._path()
        if self._failed():
            return
        if self.headers.get("If-None-Match") and path in self.service.objects:
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        else:
            self.service.objects[path] = data
            self._answer(200, b"")

    def do_DELETE(self) -> None:
        if not self._failed():
            self.service.objects.pop(self._path()[0], None)
            self._answer(204, b"")

    def _path(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return parts.path.strip("/"), parse_qs(parts.query)

    def _failed(self) -> bool:
        if self.service.errors <= 0:
            return False
        self.service.errors -= 1
        status, code = self.service.error
        signed = f"<AWSAccessKeyId>{KEY}</AWSAccessKeyId><StringToSign>{SECRET}</StringToSign>"  # as Amazon's answer
        self._answer(status, f"<Error><Code>{code}</Code>{signed}</Error>".encode())
        return True

    def _answer_part(self, data: bytes) -> None:
        """Answer with the bytes that the request asks for."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked is None:
            self._answer(200, data)
            return
        start, end = int(asked[1]), min(int(asked[2]) + 1, len(data))
        self._answer(206, data[start:end], f"bytes {start}-{end - 1}/{len(data)}")

    def _answer(self, status: int, body: bytes, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hash(body):x}"')
        if content_range:
            self.send_header("Content-Range", content_range)
        self.send_header("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - of the base class
        pass


def _listing(objects: dict[str, bytes], bucket: str, prefix: str) -> bytes:
    keys = {path.partition("/")[2]: data for path, data in objects.items() if path.startswith(f"{bucket}/{prefix}")}
    rows = "".join(
        f"<Contents><Key>{key}</Key><LastModified>{_TIME}</LastModified><ETag>{hash(data):x}</ETag>"
        f"<Size>{len(data)}</Size></Contents>"
        for key, data in keys.items()
    )
    facts = f"<Name>{bucket}</Name><KeyCount>{len(keys)}</KeyCount><IsTruncated>false</IsTruncated>"
    return f"<ListBucketResult>{facts}{rows}</ListBucketResult>".encode()


@contextmanager
def scripted_s3(patch: pytest.MonkeyPatch) -> Iterator[ScriptedS3]:
    """Run the service while the block runs, with its address and credentials in the environment."""
    service = ScriptedS3()
    handler = type("Handler", (_Handler,), {"service": service})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name, value in (("ACCESS_KEY_ID", KEY), ("SECRET_ACCESS_KEY", SECRET), ("REGION", "us-east-1")):
            patch.setenv(f"AWS_{name}", value)
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
