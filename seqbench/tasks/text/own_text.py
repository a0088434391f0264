"""Language modelling on a text of one's own, in words, characters, bytes or subword pieces.

The numbers of these compare, because all come from the same nats: beside the perplexity of its tokens, `ppl`, a run
reports bits for each character of the text, `bpc`, and the perplexity of its words, `word_ppl`. Line ends count among
both: a model predicts them, too. With <unk> in the vocabulary a model predicts less than the text.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Any

from seqbench.contracts.ranges import Count, OneOf, PartShare
from seqbench.data.errors import DataError
from seqbench.data.files.lock import say
from seqbench.data.sentencepiece_model import KINDS
from seqbench.data.text.own.build import Recipe, ensure_own, open_own
from seqbench.data.text.own.files import checksum, find_files, still_there
from seqbench.data.text.own.units import UNITS, UnitSettings
from seqbench.data.text.tokenizer import EOS
from seqbench.evaluation.scoring import perplexity
from seqbench.tasks.text.continuous_text import ContinuousText, check_windows


class OwnText(ContinuousText):
    """The text that `source` names: one file, a folder of .txt files, or one with train.txt, valid.txt and test.txt.

    * `unit`: word, character, byte or subword.
    * `min_count`, `max_words`: what of the words (or characters) of train is kept; the rest is <unk>. The cap counts
      neither <unk> nor <eos>.
    * `vocabulary_size`, `subword`: of subword pieces.
    * `valid_share`, `test_share`: the parts of one text, at its end, that are valid and test.
    * `data_sha256`: the checksum of the text, by which a run finds it again; taken from `source`.
    """

    def __init__(
        self,
        unit: Annotated[str, OneOf(*UNITS)],
        min_count: Count,
        max_words: Count | None,
        vocabulary_size: Count,
        subword: Annotated[str, OneOf(*KINDS)],
        valid_share: PartShare,
        test_share: PartShare,
        batch_size: Count,
        bptt: Count,
        eval_window: Count,
        variable_bptt: bool,
        data_seed: int,
        data_sha256: str | None,
        data_dir: Path,
        source: str | None,
    ):
        check_windows(batch_size, bptt, eval_window, data_seed)
        source = still_there(source, data_sha256)
        settings = UnitSettings(unit, min_count, max_words, vocabulary_size, subword)
        recipe = _recipe(settings, (valid_share, test_share), data_sha256, source)
        prepared = ensure_own(recipe, data_dir, source, False, say)
        start = "10" if unit == "byte" else EOS  # what ends a line
        super().__init__(prepared, "ppl", start, batch_size, bptt, eval_window, variable_bptt, data_seed)
        self.prepared = prepared
        name = f"text-{unit}-{recipe.data_sha256[:8]}"
        self.version = {"name": name, "version": 1, "data_sha256": prepared.sha256, "text_sha256": recipe.data_sha256}

    @classmethod
    def checksum(cls, source: str, settings: dict[str, Any]) -> str:
        """What `data_sha256` of the text that `source` names is. Raises `DataError`."""
        return checksum(find_files(source))

    @classmethod
    def prepare(cls, data_dir: Path, source: str | None, force: bool, settings: dict[str, Any]) -> str:
        """Prepare the text as the task's own `settings` say, anew if `force`, and say what there is."""
        prepared = ensure_own(_recipe_of(settings, source), data_dir, source, force, say)
        splits = [prepared.manifest["splits"][split] for split in ("train", "valid", "test")]
        lines = [f"{settings['unit']}: {_counts(splits, 'n_tokens')} tokens, {len(prepared.vocabulary):,} types"]
        lines.append(f"{_counts(splits, 'n_lines')} lines, {_counts(splits, 'n_words')} words")
        if any(split["n_unknown"] for split in splits):
            shares = " / ".join(f"{100 * split['n_unknown'] / split['n_tokens']:.2f} %" for split in splits)
            lines.append(f"<unk> is {shares} of the tokens")
        return f"text, by {'; '.join(lines)}; in {prepared.path}"

    @classmethod
    def at_hand(cls, data_dir: Path, source: str | None, settings: dict[str, Any]) -> bool:
        """Whether the data are on this machine, prepared or to be prepared."""
        if source is not None:
            return os.path.exists(Path(source).expanduser())
        return settings["data_sha256"] is not None and open_own(_recipe_of(settings, None), data_dir) is not None

    def text_metrics(self, split: str, nll: float) -> dict[str, float]:
        """`bpc` and `word_ppl` of a split whose tokens have a mean loss of `nll` nats."""
        entry = self.prepared.manifest["splits"][split]
        nats = nll * entry["n_tokens"]
        n_characters, n_words = (entry[name] + entry["n_lines"] for name in ("n_characters", "n_words"))
        return {"bpc": nats / math.log(2) / n_characters, "word_ppl": perplexity(nats / n_words)}


def _recipe_of(settings: dict[str, Any], source: str | None) -> Recipe:
    names = ("unit", "min_count", "max_words", "vocabulary_size", "subword")
    shares = (settings["valid_share"], settings["test_share"])
    return _recipe(UnitSettings(*(settings[name] for name in names)), shares, settings["data_sha256"], source)


def _recipe(settings: UnitSettings, shares: tuple[float, float], data_sha256: str | None, source: str | None) -> Recipe:
    if sum(shares) >= 1:
        raise ValueError(f"task.valid_share={shares[0]:g} and task.test_share={shares[1]:g} leave nothing for train")
    if data_sha256 is None:
        if source is None:
            raise DataError("task=text reads a text of your own: name its file or folder as source=<path>.")
        data_sha256 = checksum(find_files(source))
    return Recipe(data_sha256, shares, settings)


def _counts(splits: list[dict[str, Any]], name: str) -> str:
    return " / ".join(f"{split[name]:,}" for split in splits)
