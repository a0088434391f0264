"""Translation on sentence pairs of one's own, in two languages or any two forms of a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqbench.contracts.ranges import Count
from seqbench.data.errors import DataError
from seqbench.data.pairs.build import are_at_hand
from seqbench.data.pairs.own import own_corpus, pairs_checksum
from seqbench.data.pairs.source import ParallelCorpus
from seqbench.data.text.own.files import still_there
from seqbench.tasks.translation.translation import Translation, pair_settings, prepare_pairs


class OwnPairs(Translation):
    """The pairs of the folder that `source` names: train.en and train.de, valid and test likewise, or train.tsv ...

    `source_language` and `target_language` are the files' suffixes. `data_sha256` is the checksum of the pairs, by
    which a run finds them again; taken from `source`.
    """

    def __init__(
        self,
        source_language: str,
        target_language: str,
        vocabulary_size: int,
        subword: str,
        max_pieces: int,
        max_ratio: float | None,
        tokenized: bool,
        batch_tokens: Count,
        eval_batch_tokens: Count,
        data_seed: int,
        data_sha256: str | None,
        data_dir: Path,
        source: str | None,
    ):
        languages = (source_language, target_language)
        source = still_there(source, data_sha256)
        sha256 = _sha256(languages, data_sha256, source)
        self.corpus = own_corpus(languages, sha256)
        super().__init__(
            source_language,
            target_language,
            vocabulary_size,
            subword,
            max_pieces,
            max_ratio,
            tokenized,
            batch_tokens,
            eval_batch_tokens,
            data_seed,
            data_dir,
            source,
        )
        name = f"pairs-{source_language}-{target_language}-{sha256[:8]}"
        self.version |= {"name": name, "text_sha256": sha256}

    @classmethod
    def checksum(cls, source: str, settings: dict[str, Any]) -> str:
        """What `data_sha256` of the pairs that `source` names is. Raises `DataError`."""
        return pairs_checksum(source, (settings["source_language"], settings["target_language"]))

    @classmethod
    def prepare(cls, data_dir: Path, source: str | None, force: bool, settings: dict[str, Any]) -> str:
        """Prepare the pairs as the task's own `settings` say, and say what there is."""
        return prepare_pairs(_corpus(settings, source), data_dir, source, force, settings)

    @classmethod
    def at_hand(cls, data_dir: Path, source: str | None, settings: dict[str, Any]) -> bool:
        """Whether the data are on this machine, prepared or to be prepared."""
        if (source is None and settings["data_sha256"] is None) or (source is not None and not Path(source).is_dir()):
            return False
        return are_at_hand(_corpus(settings, source), pair_settings(settings), data_dir, source)


def _corpus(settings: dict[str, Any], source: str | None) -> ParallelCorpus:
    languages = (settings["source_language"], settings["target_language"])
    return own_corpus(languages, _sha256(languages, settings["data_sha256"], source))


def _sha256(languages: tuple[str, str], data_sha256: str | None, source: str | None) -> str:
    """The checksum of the pairs of a run, held against those that `source` names."""
    if source is None and data_sha256 is None:
        raise DataError("task=pairs reads pairs of your own: name their folder as source=<folder>.")
    actual = data_sha256 if source is None else pairs_checksum(source, languages)
    assert actual is not None
    if data_sha256 not in (None, actual):
        raise DataError(
            f"source={source} holds other pairs than this run's (SHA-256 {actual[:12]}, not {data_sha256[:12]}): leave "
            "task.data_sha256 out, or name the run's own folder."
        )
    return actual
