"""Marked blocks: what was there before comes back, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltext.ipalias.errors import ParseError
from saltext.ipalias.text.blocks import (
    find_block,
    insert_block,
    newline_of,
    parse_blocks,
    remove_block,
    replace_block,
    split_lines,
)

LINE = st.text(st.characters(codec="latin-1", exclude_characters="\n"), max_size=12).filter(
    lambda line: "ipalias" not in line
)
TEXT = st.one_of(
    st.none(), st.lists(LINE).map("\n".join), st.lists(LINE).map(lambda x: "\r\n".join(x))
)
BODY = st.lists(
    st.text(st.characters(codec="ascii", exclude_characters="\n\r#"), max_size=9), max_size=4
).map(lambda lines: "".join(f"{line}\n" for line in lines))


@given(TEXT, BODY)
def test_taking_a_block_out_gives_the_bytes_back(text: str | None, body: str) -> None:
    with_block = insert_block(text, "eth0", body)
    assert remove_block(with_block, "eth0", "f") == text


@given(TEXT, BODY, BODY, st.booleans())
def test_two_blocks_come_out_in_any_order(
    text: str | None, one: str, two: str, first: bool
) -> None:
    both = insert_block(insert_block(text, "eth0", one), "eth1", two)
    order = ("eth0", "eth1") if first else ("eth1", "eth0")
    once = remove_block(both, order[0], "f")
    assert once is not None
    assert remove_block(once, order[1], "f") == text


@given(TEXT, BODY, BODY)
def test_replacing_is_inserting_the_new_body(text: str | None, old: str, new: str) -> None:
    changed = replace_block(insert_block(text, "eth0", old), "eth0", new, "f")
    assert changed == insert_block(text, "eth0", new)


@given(st.lists(LINE, min_size=1), BODY, st.data())
def test_a_block_inside_a_text_moves_nothing_else(
    lines: list[str], body: str, data: st.DataObject
) -> None:
    text = "\n".join(lines)
    at = data.draw(st.integers(0, len(split_lines(text))))
    with_block = insert_block(text, "eth0", body, at=at, indent="\t")
    block = find_block(with_block, "eth0", "f")
    assert block is not None and block.first == at
    assert remove_block(with_block, "eth0", "f") == text


def test_a_line_added_after_the_block_keeps_a_line_of_its_own() -> None:
    with_block = insert_block("last", "eth0", "x\n") + "mine\n"
    assert remove_block(with_block, "eth0", "f") == "last\nmine\n"


def test_the_block_takes_the_line_end_of_its_file() -> None:
    assert newline_of("a\r\nb\r\nc\n") == "\r\n"
    assert insert_block("a\r\n", "eth0", "x\n") == (
        "a\r\n# BEGIN ipalias eth0\r\nx\r\n# END ipalias eth0\r\n"
    )


def test_a_new_file_goes_with_its_last_block() -> None:
    text = insert_block(None, "eth0", "x\n")
    assert text == "# BEGIN ipalias eth0 (new-file)\nx\n# END ipalias eth0\n"
    assert remove_block(text, "eth0", "f") is None
    assert remove_block(text + "mine\n", "eth0", "f") == "mine\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n# BEGIN ipalias eth0\nx\n", 2),
        ("# END ipalias eth0\n", 1),
        ("# BEGIN ipalias eth0\n# BEGIN ipalias eth1\n# END ipalias eth1\n", 1),
        ("# BEGIN ipalias eth0\n# END ipalias eth1\n", 2),
    ],
)
def test_a_mark_without_its_other_end_is_refused(text: str, line: int) -> None:
    with pytest.raises(ParseError) as error:
        parse_blocks(text, "/etc/x")
    assert str(error.value).startswith(f"/etc/x:{line}: ")


def test_the_same_block_twice_is_refused() -> None:
    text = insert_block("", "eth0", "x\n")
    with pytest.raises(ParseError, match="/etc/x:4: a second block"):
        find_block(text + text, "eth0", "/etc/x")
