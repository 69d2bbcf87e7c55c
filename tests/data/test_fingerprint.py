"""The fingerprint of a set: independent of order, sensitive to every byte and name."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dlcvcli.data.fingerprint import fingerprint


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(st.text(max_size=5), st.binary(min_size=32, max_size=32), min_size=1),
    st.randoms(use_true_random=False),
)
def test_a_fingerprint_does_not_depend_on_order_but_on_every_byte_and_name(
    digests: dict[str, bytes], random: object
) -> None:
    items = list(digests.items())
    complete = fingerprint(items)
    assert fingerprint(random.sample(items, len(items))) == complete  # type: ignore[attr-defined]
    assert fingerprint(items[1:]) != complete
    name, digest = items[0]
    flipped = bytes([digest[0] ^ 1]) + digest[1:]
    assert fingerprint([(name, flipped), *items[1:]]) != complete
    assert fingerprint([(name + "x", digest), *items[1:]]) != complete


def test_a_fingerprint_is_that_of_the_names_as_bytes() -> None:
    # In a locale without UTF-8 the same name is decoded into other characters.
    for name in (b"caf\xe9", "café".encode()):
        spellings = {name.decode(code, "surrogateescape") for code in ("utf-8", "ascii")}
        assert len({fingerprint([(spelling, b"1")]) for spelling in spellings}) == 1
