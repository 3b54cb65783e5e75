"""Packing is the one home of bit order: what goes in comes out, and the words are those of the format."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bitflow import bits

SIGNS = hnp.arrays(np.int8, st.tuples(st.integers(1, 4), st.integers(1, 100)), elements=st.sampled_from([-1, 1]))


@given(SIGNS)
def test_unpack_must_undo_pack(values):
    assert np.array_equal(bits.unpack(bits.pack(values), values.shape[1]), values)


@given(SIGNS)
def test_pack_must_put_bit_c_into_word_c_div_32_lowest_first(values):
    words = bits.pack(values)
    assert words.shape == (values.shape[0], bits.words_for(values.shape[1]))
    for row, packed in zip(values, words, strict=True):
        as_number = sum(int(word) << (32 * index) for index, word in enumerate(packed))
        assert as_number == sum(1 << c for c, value in enumerate(row) if value > 0)


def test_sign_must_be_plus_one_at_zero_and_minus_zero():
    assert bits.sign(np.array([0.0, -0.0, -1e-45, 3.0])).tolist() == [1, 1, -1, 1]


@given(hnp.arrays(np.uint32, st.integers(1, 20)))
def test_popcount_must_count_ones(words):
    assert bits.popcount(words).tolist() == [int(word).bit_count() for word in words]
