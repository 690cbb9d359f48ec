"""The INI editor: what stands in a file, and that an edit moves nothing else."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from saltext.ipalias.errors import ParseError
from saltext.ipalias.text import ini

LINES = st.sampled_from(
    [
        "[Network]",
        "[Address]",
        "  [Route]  ",
        "Address=192.0.2.1/24",
        "Address = 192.0.2.2/24  ",
        "\tLabel=eth0:x",
        "Address=",
        "# a comment \\",
        "; another",
        "",
        "   ",
        "nonsense",
        "Domains=a \\",
        "Gateway=192.0.2.254 # not a comment",
        "Description=caf\udce9 \u2028 \x0c",
    ]
)
ENDS = st.sampled_from(["\n", "\r\n", "\n\n"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    end = draw(ENDS)
    text = end.join(draw(st.lists(LINES, max_size=12)))
    return text + draw(st.sampled_from(["", end]))


@given(texts())
def test_an_unedited_document_gives_the_same_bytes(text: str) -> None:
    assert ini.parse(text, "x").text() == text


@given(texts())
def test_a_section_added_and_removed_leaves_the_same_bytes(text: str) -> None:
    if text.rstrip("\r\n").endswith("\\"):
        return  # The blank line that ends the open assignment stays: it would swallow what follows.
    document = ini.parse(text, "x")
    document.add_section("Added", [("Address", "198.51.100.1/32"), ("Label", "x")])
    grown = document.text()
    again = ini.parse(grown, "x")
    added = list(again.named("Added"))
    assert [[(e.key, e.value) for e in s.entries] for s in added] == [
        [("Address", "198.51.100.1/32"), ("Label", "x")]
    ]
    again.remove_section(added[0])
    assert again.text() == text


@given(texts(), st.data())
def test_an_entry_added_and_removed_leaves_the_same_bytes(text: str, data: st.DataObject) -> None:
    document = ini.parse(text, "x")
    if not document.sections:
        return
    index = data.draw(st.integers(0, len(document.sections) - 1))
    try:
        document.insert_entry(document.sections[index], "Added", "1")
    except ParseError as error:
        assert "backslash" in str(error) and index == len(document.sections) - 1
        return
    again = ini.parse(document.text(), "x")
    assert [e.value for e in again.sections[index].entries if e.key == "Added"] == ["1"]
    again.remove_entry(again.sections[index].entries[-1])
    assert again.text() == text


@given(texts())
@example("Domains=a \\\n\n[Network]\n\nDomains=a \\\n\n[Network]")
def test_removing_a_section_keeps_every_other_assignment_and_comment(text: str) -> None:
    document = ini.parse(text, "x")
    if not document.sections:
        return
    document.remove_section(document.sections[0])
    after = ini.parse(document.text(), "x")

    def content(sections: list[ini.Section]) -> list[tuple[str, list[tuple[str, str]]]]:
        return [(s.name, [(e.key, e.value) for e in s.entries]) for s in sections]

    assert content(after.sections) == content(document.sections[1:])


def test_repeated_sections_keep_their_lines_and_the_last_value_counts() -> None:
    document = ini.parse(
        "[Address]\nAddress=192.0.2.1/24\nAddress=192.0.2.2/24\n\n[Address]\n", "x"
    )
    first, second = document.sections
    assert (first.line, second.line) == (1, 5)
    last = first.last("Address")
    assert last is not None
    assert (last.value, last.line) == ("192.0.2.2/24", 3)
    assert first.values("Address") == ["192.0.2.1/24", "192.0.2.2/24"]
    assert second.last("Address") is None


def test_a_continued_value_is_one_entry_and_a_comment_in_it_is_skipped() -> None:
    document = ini.parse("[Match]\nName=eth0 \\\n# why\n   eth1\nDriver=x\n", "x")
    entry = document.sections[0].entries[0]
    assert entry.value == "eth0  eth1"
    assert (entry.line, entry.own) == (2, (2, 4))
    document.remove_entry(entry)
    assert document.text() == "[Match]\n# why\nDriver=x\n"


def test_an_even_run_of_backslashes_does_not_continue() -> None:
    document = ini.parse("[Link]\nAlias=a\\\\\nMTUBytes=1500\n", "x")
    assert [entry.key for entry in document.sections[0].entries] == ["Alias", "MTUBytes"]


def test_insertion_stands_behind_the_last_entry_and_takes_the_line_end() -> None:
    document = ini.parse("[ipv4]\r\nmethod=manual\r\n\r\n# next\r\n[ipv6]\r\n", "x")
    document.insert_entry(document.sections[0], "address1", "192.0.2.1/24")
    assert document.text() == (
        "[ipv4]\r\nmethod=manual\r\naddress1=192.0.2.1/24\r\n\r\n# next\r\n[ipv6]\r\n"
    )


def test_replacing_keeps_the_place() -> None:
    document = ini.parse("[ipv4]\naddress1=192.0.2.1/24\nmethod=manual", "x", ini.KEYFILE)
    document.replace_entry(document.sections[0].entries[0], "192.0.2.2/24")
    assert document.text() == "[ipv4]\naddress1=192.0.2.2/24\nmethod=manual"


def test_insertion_behind_a_missing_final_newline_adds_none() -> None:
    document = ini.parse("[ipv4]\nmethod=manual", "x")
    document.insert_entry(document.sections[0], "a", "1")
    assert document.text() == "[ipv4]\nmethod=manual\na=1"


def test_key_files_have_no_continuation_and_no_semicolon_comment() -> None:
    document = ini.parse("[a]\nx=1\\\ny=2 \n", "x", ini.KEYFILE)
    assert [(e.key, e.value) for e in document.sections[0].entries] == [("x", "1\\"), ("y", "2 ")]
    with pytest.raises(ParseError) as caught:
        ini.parse("[a]\n; no comment here\n", "/etc/x.nmconnection", ini.KEYFILE)
    assert caught.value.where == "/etc/x.nmconnection:2"


@pytest.mark.parametrize("syntax", [ini.SYSTEMD, ini.KEYFILE])
def test_a_broken_header_names_file_and_line(syntax: ini.Syntax) -> None:
    with pytest.raises(ParseError) as caught:
        ini.parse("[a]\nx=1\n[Match] # main\n", "/etc/x", syntax)
    assert caught.value.where == "/etc/x:3"


def test_a_backslash_in_a_key_file_continues_nothing_so_the_blank_line_behind_it_goes() -> None:
    before = "[a]\nx=1\\\n"
    document = ini.parse(before, "x", ini.KEYFILE)
    document.add_section("ipv4", [("method", "auto")])
    again = ini.parse(document.text(), "x", ini.KEYFILE)
    again.remove_section(again.sections[1])
    assert again.text() == before


@pytest.mark.parametrize("before", ["# x\n\r", "\r", "# x\n\r\r", "# x\r\n\r"])
def test_a_carriage_return_without_a_line_end_is_kept(before: str) -> None:
    document = ini.parse(before, "x", ini.KEYFILE)
    document.add_section("ipv4", [("method", "auto")])
    again = ini.parse(document.text(), "x", ini.KEYFILE)
    again.remove_section(again.sections[0])
    assert again.text() == before
