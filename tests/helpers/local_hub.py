"""A small Hugging Face Hub on this machine: the requests of `create_repo`, `create_commit` and `hf_hub_download`.

Large files (those with a suffix of `LARGE`) go through Git LFS and are downloaded from another host, as on the Hub.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_a-test-token-that-no-message-may-show"
LARGE = (".safetensors", ".onnx", ".png")
Files = dict[str, bytes]


@dataclass
class Repository:
    """A repository: branches are names of commits, and a commit is its files."""

    private: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Files] = field(default_factory=dict)

    def commit(self, branch: str, files: Files) -> str:
        name = hashlib.sha1(f"{branch}{len(self.commits)}".encode()).hexdigest()
        self.commits[name], self.branches[branch] = files, name
        return name

    def files(self, revision: str = "main") -> Files:
        return self.commits[self.branches.get(revision, revision)]


class LocalHub(ThreadingHTTPServer):
    """The server.

    Attributes:
        repositories: repositories by owner/name.
        large: contents of large files by SHA-256.
        refuse: status of every answer, in place of an answer.
        cut: names of files whose download ends after half.
        requests: method and path of every request.
        uploads: SHA-256 of every large file that was sent.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.refuse: int | None = None
        self.cut: set[str] = set()
        self.requests: list[str] = []
        self.uploads: list[str] = []

    @property
    def address(self) -> str:
        return f"http://localhost:{self.server_port}"

    @property
    def storage(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/storage"


@contextmanager
def running_hub() -> Iterator[LocalHub]:
    """Run the server while the block runs."""
    with LocalHub() as hub:
        thread = Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LocalHub

    def log_message(self, *args: object) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name in {"do_GET", "do_HEAD", "do_POST", "do_PUT"}:
            return self._handle
        raise AttributeError(name)

    def _handle(self) -> None:
        path = urlsplit(self.path).path
        self.server.requests.append(f"{self.command} {path}")
        body = self._body()
        if self.server.refuse:
            return self._json({}, self.server.refuse)
        match path.strip("/").split("/"):
            case ["api", "repos", "create"]:
                self._create(json.loads(body))
            case ["api", "validate-yaml"]:
                self._validate(json.loads(body)["content"])
            case ["api", "models", owner, name, *rest]:
                self._model(f"{owner}/{name}", rest, body)
            case [owner, git, "info", "lfs", "objects", "batch"]:
                self._batch(f"{owner}/{git.removesuffix('.git')}", json.loads(body)["objects"])
            case ["storage", oid]:
                self._store(oid, body)
            case [owner, name, "resolve", revision, *parts]:
                self._resolve(f"{owner}/{name}", unquote(revision), unquote("/".join(parts)))
            case _:
                self._json({"error": "not a path of this server"}, 404)
        return None

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    @property
    def _may_write(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _found(self, name: str) -> Repository | None:
        repository = self.server.repositories.get(name)
        if repository is not None and (not repository.private or self._may_write):
            return repository
        self._json({"error": "Repository not found"}, 401, {"X-Error-Code": "RepoNotFound"})
        return None

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if not self._may_write:
            said = {"X-Error-Message": "Invalid credentials in Authorization header"}
            return self._json({"error": "Invalid credentials in Authorization header"}, 401, said)
        exists = name in self.server.repositories
        if not exists:
            self.server.repositories[name] = made = Repository()
            made.private = wanted.get("visibility") == "private" or bool(wanted.get("private"))  # before 2.0
            made.commit("main", {".gitattributes": b""})
        return self._json({"url": f"{self.server.address}/{name}"}, 409 if exists else 200)

    def _validate(self, content: str) -> None:
        table = yaml.safe_load(content.split("---\n")[1])
        wrong = [] if isinstance(table.get("license", ""), str) else [{"message": '"license" must be a string'}]
        self._json({"errors": wrong, "warnings": []}, 400 if wrong else 200)

    def _model(self, name: str, rest: list[str], body: bytes) -> None:
        repository = self._found(name)
        if repository is None:
            return
        action, revision = rest[0] if rest else "revision", unquote(rest[1]) if rest[1:] else "main"
        if action == "branch":
            repository.branches.setdefault(revision, repository.branches["main"])
            self._json({})
        elif revision not in {*repository.branches, *repository.commits}:
            self._json({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        elif action == "revision":
            siblings = [{"rfilename": file, "size": len(data)} for file, data in repository.files(revision).items()]
            sha = repository.branches.get(revision, revision)
            self._json({"id": name, "sha": sha, "private": repository.private, "siblings": siblings})
        elif action == "preupload":
            self._json({"files": [_mode(file["path"], repository, revision) for file in json.loads(body)["files"]]})
        elif action == "commit":
            self._commit(name, repository, revision, body)

    def _commit(self, name: str, repository: Repository, revision: str, body: bytes) -> None:
        files = dict(repository.files(revision))
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        made = repository.commit(revision, files)
        self._json({"commitUrl": f"{self.server.address}/{name}/commit/{made}", "commitOid": made})

    def _batch(self, name: str, objects: list[dict[str, Any]]) -> None:
        if self._found(name) is None:
            return
        answer = [
            thing
            if thing["oid"] in self.server.large
            else {**thing, "actions": {"upload": {"href": f"{self.server.storage}/{thing['oid']}"}}}
            for thing in objects
        ]
        self._json({"transfer": "basic", "objects": answer})

    def _store(self, oid: str, body: bytes) -> None:
        if self.command == "PUT":
            self.server.large[oid] = body
            self.server.uploads.append(oid)
            self._json({})
        else:
            self._send(self.server.large[oid], {"ETag": f'"{oid}"'})

    def _resolve(self, name: str, revision: str, file: str) -> None:
        repository = self._found(name)
        if repository is None:
            return
        data = repository.files(revision)[file]
        headers = {"X-Repo-Commit": repository.branches.get(revision, revision)}
        if not file.endswith(LARGE):
            self._send(data, headers | {"ETag": f'"{_blob(data)}"'}, cut=file in self.server.cut)
            return
        oid = hashlib.sha256(data).hexdigest()
        self.server.large[oid] = data
        linked = {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(data))}
        if file in self.server.cut:
            self._send(data, headers | linked, cut=True)
        else:
            self._send(b"", headers | linked | {"Location": f"{self.server.storage}/{oid}"}, 302)

    def _json(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})}, status)

    def _send(self, data: bytes, headers: dict[str, str], status: int = 200, cut: bool = False) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection |= cut


def _mode(path: str, repository: Repository, revision: str) -> dict[str, Any]:
    is_large, before = path.endswith(LARGE), repository.files(revision).get(path)
    oid = None if before is None else hashlib.sha256(before).hexdigest() if is_large else _blob(before)
    return {"path": path, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False, "oid": oid}


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
