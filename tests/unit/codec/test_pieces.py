"""Texts as pieces: what comes back is made of pieces of the vocabulary alone."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from clickweave.codec.pieces import Pieces, TextParts, joined_pieces

ALPHABET = "abé汶川 "
TEXTS = st.text(ALPHABET, max_size=30)
VOCABULARIES = st.lists(st.text(ALPHABET.strip(), min_size=1, max_size=5), max_size=12, unique=True)


def joined(parts, values):
    """The columns of texts, and the texts that come back from them."""
    columns = parts.columns(pa.array(values, pa.string()))
    rare = np.array([value is not None for value in values], bool)
    return columns, joined_pieces(columns[0], columns[1:], rare).to_pylist()


@given(st.lists(st.none() | TEXTS, max_size=6))
def test_a_text_whose_characters_are_all_known_comes_back_but_for_white_space(values):
    _, found = joined(TextParts(list("abé汶川"), 64), values)
    assert found == [None if value is None else " ".join(value.split()) or None for value in values]


@given(VOCABULARIES, st.lists(TEXTS, max_size=6), st.integers(1, 9))
def test_every_piece_is_of_the_vocabulary_and_there_are_no_more_than_asked_for(vocabulary, values, most):
    columns, found = joined(TextParts(vocabulary, most), values)
    assert len(columns) == most + 1
    for row, text in enumerate(found):
        pieces = [column[row].as_py() for column in columns[1:]]
        length = columns[0][row].as_py()
        assert length <= most
        assert all(piece.removeprefix(" ") in vocabulary for piece in pieces[:length])
        assert pieces[length:] == [None] * (most - length)
        assert text == ("".join(pieces[:length]) or None)


@given(VOCABULARIES, TEXTS)
def test_cutting_what_was_joined_gives_the_same_text(vocabulary, text):
    cut = Pieces(vocabulary)
    once = "".join(cut(text, 64))
    assert "".join(Pieces({*vocabulary, *once.replace(" ", "")})(once, 64)) == once


def test_words_go_whole_and_others_by_their_longest_runs():
    cut = Pieces(["red", "shoes", "sh", "sho", "e", "汽车", "汽", "图", "片"])
    assert cut("red  shoes", 8) == ["red", " shoes"]
    assert cut("\tshoe red", 8) == ["sho", "e", " red"]
    assert cut("汽车图片", 8) == ["汽车", "图", "片"]
    assert cut("汽车 图片", 8) == ["汽车", " 图", "片"]
    assert cut("汽车图片", 2) == ["汽车", "图"]
    assert cut("x red", 8) == ["red"]
    assert cut("xyz", 8) == []


def test_a_string_of_many_thousand_characters_is_cut_off():
    assert Pieces(["ab"])("ab" * 100_000, 3) == ["ab"] * 3


def test_pieces_beyond_the_length_and_missing_ones_are_left_out():
    lengths = pa.array([2, 3, None, 0, 2], pa.int64())
    pieces = [
        pa.array(["red", None, "x", "x", "gone"]),
        pa.array([" shoe", " car", "x", "x", "gone"]),
        pa.array(["s", "s", "x", "x", "gone"]),
    ]
    found = joined_pieces(lengths, pieces, np.array([True, True, True, True, False]))
    assert found.to_pylist() == ["red shoe", "cars", None, None, None]
