"""The Hugging Face hub as a source: whether it answers, asked in bounded time, and its files."""

from __future__ import annotations

import contextlib
import http.client
import os
import queue
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from seqbench.data.errors import DataError
from seqbench.data.files.parquet import first_sentence, import_extra
from seqbench.data.text.corpus import SPLITS, Corpus, Hub

PATIENCE = 2.5  # seconds for an answer; without a network `datasets` itself retries for 23 s, or hangs for minutes


def obstacle() -> str | None:
    """Why the hub cannot be asked, or None when it answers. Takes at most `PATIENCE` seconds."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        if os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE"):
            return f"{name} is set"
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    # a thread, because looking up a name has no time-out of its own; an open port is not enough, because some networks
    # accept every connection and stay silent
    threading.Thread(target=_ask, args=(endpoint, answers), daemon=True).start()
    try:
        answered = answers.get(timeout=PATIENCE)
    except queue.Empty:
        answered = False
    return None if answered else f"{endpoint} does not answer"


def _ask(endpoint: str, answers: queue.SimpleQueue[bool]) -> None:
    answers.put(_answers(endpoint))


def _answers(endpoint: str) -> bool:
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=PATIENCE).close()
    except urllib.error.HTTPError:
        return True  # an answer all the same
    except urllib.error.URLError as error:
        # a certificate that Python does not know may still be known to `datasets` (REQUESTS_CA_BUNDLE and the like)
        return isinstance(error.reason, ssl.SSLError)
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return True


def hub_files(corpus: Corpus, hub: Hub) -> dict[str, list[Path]]:
    """The parquet files of each split, downloaded by `datasets` into the hub's own cache.

    Read from there as any local copy: a table that `datasets` makes of them would be one more copy on the disk, and
    all of it counts as this process's memory. Raises `DataError` if the download fails.
    """
    root = f"hf://datasets/{hub.repository}@{hub.revision}"
    files = {split: [f"{root}/{name}" for name in corpus.splits[split].hub_files] for split in SPLITS}
    with downloading(corpus.title, hub.repository) as datasets:
        downloaded = datasets.DownloadManager().download(files)
    return {split: [Path(path) for path in downloaded[split]] for split in SPLITS}


@contextlib.contextmanager
def downloading(title: str, repository: str) -> Iterator[ModuleType]:
    """The `datasets` package, patient for a bounded time; what goes wrong with it is a `DataError`."""
    # read by huggingface_hub when it is imported, so set before
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", "5")
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "20")
    datasets = import_extra("datasets", f"fetching {title}")
    from huggingface_hub.errors import HTTPError  # not an OSError, and from another package in each major version

    try:
        yield datasets
    except (OSError, ValueError, HTTPError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{title} could not be fetched from the hub ({repository}): {first_sentence(error)}; "
            "try again, or name a folder with its files as source=<folder>."
        ) from error
