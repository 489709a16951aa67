"""Groups keep every item, and the order in which items and keys come."""

from hypothesis import given
from hypothesis import strategies as st

from fewshot.results.grouping import grouped


@given(st.lists(st.integers(0, 30)))
def test_every_item_is_in_the_group_of_its_key_in_order(items):
    groups = grouped(items, lambda n: n % 4)
    assert list(groups) == list(dict.fromkeys(n % 4 for n in items))
    for key, members in groups.items():
        assert members == [n for n in items if n % 4 == key]
