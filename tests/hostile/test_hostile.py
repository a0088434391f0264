"""Hundreds of hostile and mistaken commands: none ends in a traceback, runs a stranger's code or, refused, writes."""

import shutil

import pytest
from hostile.cases import MARKER, QUICK, Case, cases

EACH = 200
NOT_OURS = ("theirs", "bomb.pkl", "evil.py")


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory, seqbench_in):
    """A folder in which a run of QUICK has finished."""
    place = tmp_path_factory.mktemp("finished")
    code, _, errors = seqbench_in(place, "train", *QUICK)
    assert code == 0, errors
    return place


def faults(seqbench_in, finished, place, case: Case) -> list[str]:
    """What the command did that none may."""
    (place / "bomb.pkl").write_bytes(b"cos\nmkdir\n(S'marker'\ntR.")
    (place / "evil.py").write_text("import os\nos.mkdir('marker')\n")
    for name, content in case.files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    arguments = [word for word in case.arguments if "\0" not in word]
    if case.damage is not None:
        shutil.copytree(finished, place, dirs_exist_ok=True)
        (folder,) = (place / "outputs").iterdir()
        path = folder / "config.yaml"
        path.write_bytes(case.damage(path.read_bytes()))
        if arguments[0] == "train":
            (folder / "record.json").unlink()
        arguments = [word.format(id=folder.name) if word == "run={id}" else word for word in arguments]
    before = listing(place)
    code, out, said = seqbench_in(place, *arguments)
    wrong = []
    if code not in (0, 1, 2):
        wrong.append(f"exit code {code}")
    if "Traceback" in out + said or "Error executing" in said or "usage:" in said:
        wrong.append("a traceback, or another's words")
    if any(path.name == MARKER for path in place.rglob("*") if path.parts[-2:-1] != ("runs",)):
        wrong.append("it ran, or wrote elsewhere")
    if code == 2 and not any(word in ("-m", "--multirun") for word in arguments):
        if not said.startswith("seqbench: ") or said.count("\n") != 1:
            wrong.append("not one sentence")
        if listing(place) != before:
            wrong.append(f"wrote {sorted(set(listing(place)) - set(before))}")
    return [f"{fault}: {arguments}\n{said[-600:]}" for fault in wrong]


def listing(place):
    return {str(path.relative_to(place)): path.stat().st_size for path in place.rglob("*") if path.suffix != ".lock"}


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("seed", range(6))
def test_no_command_does_what_none_may(seqbench_in, finished_run, tmp_path, seed):
    wrong = []
    for number, case in enumerate(cases(seed, EACH // 6 + 1)):
        place = tmp_path / str(number)
        place.mkdir()
        try:
            wrong += faults(seqbench_in, finished_run, place, case)
        except TimeoutError as error:
            wrong.append(f"no end: {case.arguments} {error}")
    assert wrong == [], "\n\n".join(wrong)
