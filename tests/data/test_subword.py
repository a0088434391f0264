"""What is known of a line before it is cut into pieces."""

from seqbench.data.pairs.subword import surely_longer


def test_a_line_is_measured_as_its_pieces_spell_it():
    assert not surely_longer("e\u0301" * 16, 1)  # 16 letters, their accents apart
    assert surely_longer("\u00e9" * 17, 1)
