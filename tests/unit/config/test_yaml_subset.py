import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from clickweave.config.yaml_subset import MAX_BYTES, MAX_DEPTH, parse_yaml

REFUSED = {
    "duplicate key": "a: 1\na: 2",
    "duplicate key inside": "a: {b: 1, b: 2}",
    "anchor": "a: &x 1",
    "alias": "a: &x [1]\nb: *x",
    "python tag": "a: !!python/object/apply:os.system ['true']",
    "own tag": "a: !thing 1",
    "merge key": "a:\n  <<: {b: 1}",
    "number as key": "1: a",
    "truth value as key": "on: a",
    "list as key": "? [a]\n: b",
    "a list": "- a",
    "a word": "a",
    "two documents": "a: 1\n---\nb: 2",
    "half a list": "a: [1",
    "a tab": "a:\n\tb: 1",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_what_the_subset_leaves_out_is_refused(text):
    with pytest.raises((ValueError, yaml.YAMLError)):
        parse_yaml(text)


def test_depth_is_bounded():
    def nested(levels):
        return "a: " + "[" * levels + "]" * levels

    parse_yaml(nested(MAX_DEPTH - 1))
    with pytest.raises(ValueError, match="deeper"):
        parse_yaml(nested(MAX_DEPTH))
    with pytest.raises(ValueError, match="deeper"):
        parse_yaml(nested(20_000))


def test_size_is_bounded():
    with pytest.raises(ValueError, match="larger"):
        parse_yaml("a: " + "x" * MAX_BYTES)


@pytest.mark.parametrize("text", ["", "# only a comment", "---"])
def test_an_empty_text_is_an_empty_mapping(text):
    assert parse_yaml(text) == {}


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="ascii"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcxyz", min_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abcxyz", min_size=2), PLAIN, max_size=4))
def test_plain_data_comes_back_as_it_was_written(data):
    class NoAliases(yaml.SafeDumper):
        def ignore_aliases(self, data):
            return True

    assert parse_yaml(yaml.dump(data, Dumper=NoAliases)) == data
