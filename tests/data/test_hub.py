"""The hub as a source: a small server that answers as the hub does, and every way of having no network.

The real `datasets` and `huggingface_hub` talk to that server, in a process of their own, because they read HF_ENDPOINT
when they are imported.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import socket
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqbench.data.errors import DataError
from seqbench.data.files import hub
from seqbench.data.text.build import ensure_prepared, prepare

VARIABLES = (
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "HF_DATASETS_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "https_proxy",
    "HTTPS_PROXY",
)


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves the parquet files under `server.root` as repository owner/tiny, in every revision."""

    def log_message(self, format: str, *arguments) -> None:
        pass

    def respond(self) -> None:
        asked = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        path = urllib.parse.unquote(self.path.partition("?")[0])
        api, files = "/api/datasets/owner/tiny", "/datasets/owner/tiny/resolve/refs/convert/parquet/"
        self.server.asked.append(path)
        if path == "/":
            self.reply(b"come in by another door", status=403)  # an answer all the same
        elif path.startswith(f"{api}/tree/"):
            folder = self.server.root / path.partition("/refs/convert/parquet")[2].strip("/")
            self.reply_json([self.entry(file) for file in folder.iterdir()])
        elif path.startswith(f"{api}/paths-info/"):
            names = [value for name, value in urllib.parse.parse_qsl(asked) if name == "paths"]
            self.reply_json([self.entry(self.server.root / name) for name in names])
        elif path.startswith(api):
            self.reply_json({"id": "owner/tiny", "sha": "a" * 40, "private": False, "tags": [], "siblings": []})
        elif path.startswith(files) and not self.server.broken:
            content = (self.server.root / path.removeprefix(files)).read_bytes()
            etag = hashlib.sha256(content).hexdigest()
            self.reply(content, {"ETag": f'"{etag}"', "X-Repo-Commit": "a" * 40})
        else:
            self.reply(b"", status=404)

    do_GET = do_HEAD = do_POST = respond

    def entry(self, path: Path) -> dict[str, object]:
        name = str(path.relative_to(self.server.root))
        if path.is_dir():
            return {"type": "directory", "path": name, "oid": "b" * 40, "size": 0}
        return {"type": "file", "path": name, "oid": "c" * 40, "size": path.stat().st_size}

    def reply_json(self, answer: object) -> None:
        self.reply(json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def reply(self, content: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@pytest.fixture
def server(tmp_path, text) -> Iterator[http.server.ThreadingHTTPServer]:
    pytest.importorskip("datasets")
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    root = tmp_path / "hub"
    (root / "rows").mkdir(parents=True)
    for split, lines in text.items():
        parquet.write_table(arrow.table({"sentence": lines}), root / "rows" / f"{split}.parquet")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.root, server.asked, server.broken = root, [], False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def outcome(process) -> str:
    """The last line a client prints."""
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return output.splitlines()[-1]


@pytest.mark.parametrize("source", ["hub", None])
def test_the_hub_gives_the_same_bytes_as_text(source, server, client, corpus, raw, tmp_path):
    endpoint = f"http://127.0.0.1:{server.server_port}"
    result = outcome(client(corpus, tmp_path / "fetched", source, HF_ENDPOINT=endpoint))
    assert result == prepare(corpus, tmp_path / "data", str(raw)).sha256
    assert "/datasets/owner/tiny/resolve/refs/convert/parquet/rows/train.parquet" in server.asked


def test_a_local_copy_never_touches_the_network(server, client, corpus, raw, tmp_path):
    endpoint = f"http://127.0.0.1:{server.server_port}"
    raw.rename(tmp_path / "tinytext")
    result = outcome(client(corpus, tmp_path, None, HF_ENDPOINT=endpoint))
    assert len(result) == 64 and server.asked == []


def test_another_text_on_the_hub_is_refused(server, client, corpus, corpus_of, text, tmp_path):
    text["train"][0] = "the dog sat"
    endpoint = f"http://127.0.0.1:{server.server_port}"
    result = outcome(client(corpus_of(text), tmp_path / "data", "hub", HF_ENDPOINT=endpoint))
    assert result.startswith("ERROR: hub:owner/tiny (train) is not the train split of the tiny corpus: its 5 lines ")
    assert not (tmp_path / "data" / "tiny").exists()


def test_a_failed_download_is_one_sentence(server, client, corpus, tmp_path):
    server.broken = True
    endpoint = f"http://127.0.0.1:{server.server_port}"
    result = outcome(client(corpus, tmp_path / "data", "hub", HF_ENDPOINT=endpoint))
    assert result.startswith("ERROR: the tiny corpus could not be fetched from the hub (owner/tiny): ")
    assert result.endswith("; try again, or name a folder with its files as source=<folder>.")


def missing(corpus, data_dir, source) -> str:
    with pytest.raises(DataError) as caught:
        ensure_prepared(corpus, data_dir, source)
    return str(caught.value)


@pytest.fixture
def no_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def impatient(monkeypatch, no_variables):
    """Where the other side is silent until the test has ended, an answer shows that it was not waited for."""
    assert hub.PATIENCE <= 3  # seconds: a user waits for them, a test need not
    monkeypatch.setattr(hub, "PATIENCE", 0.3)


@pytest.mark.parametrize("source", ["hub", None])
def test_no_network(source, corpus, tmp_path, monkeypatch, impatient):
    monkeypatch.setenv("HF_ENDPOINT", "https://huggingface.invalid")
    assert missing(corpus, tmp_path, source) == (
        "the tiny corpus is not at hand and cannot be fetched, because https://huggingface.invalid does not answer; "
        f"put tiny.train.txt, tiny.valid.txt and tiny.test.txt into {tmp_path}/tinytext, or name their folder as "
        f"source=<folder>, or copy {tmp_path}/tiny from a machine with a network after "
        "`seqbench prepare task=tiny` there."
    )


def test_a_silent_network(corpus, tmp_path, monkeypatch, impatient):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections and says nothing
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "does not answer" in missing(corpus, tmp_path, None)


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-not_a_hub\r\n"])
def test_a_network_that_speaks_something_else(reply, corpus, tmp_path, monkeypatch, no_variables):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert "does not answer" in missing(corpus, tmp_path, None)


def test_a_name_that_is_looked_up_for_ever(corpus, tmp_path, monkeypatch, impatient):
    released, ended = threading.Event(), threading.Event()

    def look_up(*arguments):
        released.wait(60)
        ended.set()
        raise OSError("name not found")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    sentence = missing(corpus, tmp_path, None)
    assert not ended.is_set()
    released.set()
    assert "https://huggingface.co does not answer" in sentence


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"])
def test_offline_by_choice_asks_nobody(name, corpus, tmp_path, monkeypatch, no_variables):
    asked = []
    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(hub, "_ask", lambda *arguments: asked.append(arguments))
    assert f"because {name} is set; put " in missing(corpus, tmp_path, "hub") and not asked


def test_datasets_not_installed(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "_answers", lambda endpoint: True)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "datasets", None)
    sentence = missing(corpus, tmp_path, "hub")
    assert sentence == 'fetching the tiny corpus needs the package `datasets`: pip install "seqbench[hub]".'
