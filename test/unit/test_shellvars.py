"""The editor of shell assignments: read as a shell reads them, and nothing else moves."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from saltext.ipalias.errors import InputError, ParseError
from saltext.ipalias.text import shellvars
from saltext.ipalias.text.shellvars import Document, parse

CORPUS = Path(
    os.environ.get("IPALIAS_CORPUS") or Path(__file__).resolve().parents[3] / "shared/corpus"
)
FOLDERS = ("ifcfg_rh", "ifcfg_suse", "freebsd_rcconf", "netifrc")


def value(text: str, name: str = "A") -> str | None:
    found = parse(text, "x").get(name)
    assert found is not None, text
    return found.value


# What stands behind `A=`, and what a POSIX shell makes of it.
VALUES = [
    ("1", "1"),
    ("", ""),
    ("''", ""),
    ('""', ""),
    ('"a b"', "a b"),
    ("'a b'", "a b"),
    ("a\\ b", "a b"),
    ("a\"b\"'c'd", "abcd"),
    ("a''b", "ab"),
    (r'"\\ \" \$ \` \n \x"', '\\ " $ ` \\n \\x'),
    (r"'\\ \n'", r"\\ \n"),
    (r"\\\"\'", "\\\"'"),
    ("'$B `c`'", "$B `c`"),
    ("1 # c", "1"),
    ("1\t# c", "1"),
    ("1#c", "1#c"),
    ('"1"#c', "1#c"),
    ('"1" # "', "1"),
    ("'1 # 2'", "1 # 2"),
    ("1\\\n2", "12"),
    ('"1\\\n2"', "12"),
    ("'1\\\n2'", "1\\\n2"),
    ('"1\n2\n"', "1\n2\n"),
    ("$", "$"),
    ('"$"', "$"),
    ('"a$ b"', "a$ b"),
    ("*", "*"),
    ("a=b", "a=b"),
    ("a~b", "a~b"),
    ("'~'", "~"),
    ("{a,b}", "{a,b}"),
    ("fe80::1%vtnet0", "fe80::1%vtnet0"),
    ("!x", "!x"),
    ("1; # c", "1"),
    ("1 B=2", "1"),
    ("1 B=2 A=3", "3"),
    ("1; B=2; A=4;", "4"),
    ("caf\udce9", "caf\udce9"),
    ("\u00a0\u2028", "\u00a0\u2028"),
    ("\x0c", "\x0c"),
    ("if", "if"),
    ("x\n  A=y", "y"),
    ("x\n\tA=y", "y"),
    ("x\nexport A=y", "y"),
    ("x\nexport\tB A=y C", "y"),
    ("x\n#A=y", "x"),
    ("x\n # A=y", "x"),
    ("x\nAA=y", "x"),
    ("x\nA= # c", ""),
]


@pytest.mark.parametrize(("raw", "expected"), VALUES)
@pytest.mark.parametrize("end", ["", "\n", " \n", "\n\nZ=1\n"])
def test_a_value_is_read_as_a_shell_reads_it(raw: str, expected: str, end: str) -> None:
    text = f"A={raw}{end}"
    assert value(text) == expected
    assert parse(text, "x").text() == text


@pytest.mark.parametrize(
    "raw",
    [
        "$B", '"$B"', "a$1", "${B}", '"${B:-x}"', "$(c)", '"$(c)"', "`c`", '"a `c`"', "$((1))",
        "$'a'", "$'a\\'b'", '$"a"', "~", "~/x", "/x:~/y", '"${B:-"x y"}"', '"$(c "d)" # )\n)"',
        "$(case x in a) b;; esac)", "${B#'}'}", '"${B:-it\'s}"', "`c \\` d`", "@(a|b)",
        "$(cat <<E\n)\nE\n)",
    ],
)  # fmt: skip
def test_what_a_shell_expands_has_no_value_and_stays(raw: str) -> None:
    text = f"X=1\nA={raw} # c\nB=2\n"
    document = parse(text, "x")
    found = document.get("A")
    assert found and found.value is None and found.opaque and not found.is_array
    assert document.names() == ["X", "A", "B"]
    assert value(text, "B") == "2"
    document.set("A", "new")
    new = '"new"' if raw.startswith('"') else "new"
    assert document.text() == f"X=1\nA={new} # c\nB=2\n"


def test_lines_are_counted_from_one_to_the_last() -> None:
    found = parse('\n# c\nA="1\n2"\nB=( 1\n2\n)\nC=3\\\n4 A=5', "x")
    lines = {a.name: (a.line, a.last_line) for n in found.names() for a in found.all(n)[:1]}
    assert lines == {"A": (3, 4), "B": (5, 7), "C": (8, 9)}
    assert [a.line for a in found.all("A")] == [3, 9]
    assert found.get("nothing") is None
    assert found.all("nothing") == []


@pytest.mark.parametrize(
    ("raw", "items"),
    [
        ("()", ()),
        ("( )", ()),
        ('( "A netmask M" "B/32" )', ("A netmask M", "B/32")),
        ("(a 'b c' d\\ e)", ("a", "b c", "d e")),
        ('(\n  "a" # "x"\n\n  # "b"\n\t"c"\n)', ("a", "c")),
        ('( "a\nb" )', ("a\nb",)),
        ('(\r\n"a"\r\nb\r\n)', ("a", "b")),
        ("(a\\\n b)", ("a", "b")),
        ("(a)\\\n", ("a",)),
        ("(a#b)", ("a#b",)),
        ("(A=1)", ("A=1",)),
        ('($B "$(c)" d)', (None, None, "d")),
        ("(a* ~ {b,c} [0]=d e)", (None, None, None, None, "e")),
        ("('a*' '~' \"{b,c}\")", ("a*", "~", "{b,c}")),
    ],
)
def test_an_array_is_read_item_by_item(raw: str, items: tuple[str | None, ...]) -> None:
    text = f"X=1\nA={raw} # c\nB=2\n"
    document = parse(text, "x")
    found = document.get("A")
    assert found and found.is_array and found.value is None
    assert found.items == items
    assert found.opaque == (None in items)
    assert document.names() == ["X", "A", "B"]
    assert document.text() == text


def test_an_appending_assignment_says_so() -> None:
    document = parse("A=1\nA+=2\nB=(x)\nB+=( y )\n", "x")
    assert [(a.value, a.append) for a in document.all("A")] == [("1", False), ("2", True)]
    assert [(a.items, a.append) for a in document.all("B")] == [(("x",), False), (("y",), True)]
    document.set("A", "2")
    document.set_array("B", ["y", "z"])
    assert document.text() == 'A=1\nA=2\nB=(x)\nB=( y "z" )\n'
    assert edited("B+=(x)\n", ("set_array", "B", ["x"])) == "B=(x)\n"


OPAQUE = [
    "postup() {\n\tA=2\n}",
    "postup ()\n{\n\tif x; then A=2; fi }",
    "function postup {\nA=2\n}",
    "function postup() ( A=2 )",
    "if [ x ]; then\n  A=2\nelse\n :\nfi",
    "if x; then { A=2; } fi >/dev/null",
    "case $x in\n a|b) A=2;;\n (c) : ;;\n *) :\nesac",
    "case x in esac\n{ A=2\n}",
    "case in in in) A=2;; esac",
    "for A in 1 2; do :; done",
    "for A\ndo\n:\ndone",
    "for ((i=0; i<3; i++)); do A=2; done",
    "while read -r A; do :; done <<E\nfi ' \" (\nE",
    "until x\ndo A=2\ndone | cat",
    "( A=2 )",
    "{ A=2; }",
    "A=2 command",
    "A=2 >/dev/null",
    "A=2 &",
    "A=2 | cat",
    "x && A=2",
    "x ||\n\nA=2",
    "! A=2",
    "unset A",
    "read A",
    "command eval 'A=2'",
    'eval "A=2"',
    "declare -a A=( 1 2 )",
    "readonly A=2",
    "A[0]=2",
    ": ${A:=2}",
    'X="${A=2}"',
    "[[ a < b && ( x ) ]] && A=2",
    "(( 1 < 2 )) && A=2",
    "cat <<-'E' && A=2\n\tx'\n\tE",
    "printf -v A 2",
]


@pytest.mark.parametrize("opaque", OPAQUE)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_is_not_certain_is_told_with_its_lines_and_does_not_count(
    opaque: str, end: str
) -> None:
    text = f"\nA=1\n{opaque}\nB=3\n".replace("\n", end)
    document = parse(text, "x")
    assert [a.value for a in document.all("A")] == ["1"]
    assert document.all("B")[-1].value == "3"
    assert all(3 <= line < text.count("\n") for line in document.hidden("A"))
    assert document.hidden("A")
    assert document.hidden("B") == []
    document.set("N", "x")
    document.set("B", "4")
    assert document.text() == text.replace("B=3", "B=4") + "N=x" + end
    again = parse(document.text(), "x")
    again.remove("N")
    again.set("B", "3")
    assert again.text() == text


@pytest.mark.parametrize(
    "opaque",
    [
        ". /etc/rc.conf.local", "source x", "cat <<E\nA=2\n' ( {\nE", "echo A-2 'A=2'",
        "X=$(A=2)",
        "X=$(if x; then A=2; fi)",
        "X=`A=2`", "diff <(A=2) >(cat)", "echo a \\\n  fi }", "export A", "ls !(A=2)",
        "[[ A=2 ]]", "f() { local A=2; }", "cat <<E; echo\nA=2\nE", "cat <<< A", "echo 2>&1 &",
        "cat <<\\E <<'F'\nA=2\nE\nA=3\nF",
    ],
)  # fmt: skip
def test_what_sets_no_name_is_kept_and_not_told(opaque: str) -> None:
    text = f"A=1\n{opaque}\nB=3\n"
    document = parse(text, "x")
    assert [a.value for a in document.all("A")] == ["1"]
    assert value(text, "B") == "3"
    assert document.hidden("A") == []
    assert document.text() == text


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("\nA='1\n\n", 2, "`'` is not closed"),
        ('\nA="1\nB=2\n', 2, '`"` is not closed'),
        ('A="1"\nB=2"\n', 2, '`"` is not closed'),
        ("\nA=( 1\n2\n", 2, "`(` is not closed"),
        ("\nA=`x\n", 2, "`"),
        ("\nA=$(x\n", 2, "`(` is not closed"),
        ("\nA=$((x\n", 2, "`(` is not closed"),
        ("\nA=${x\n", 2, "`${` is not closed"),
        ("\nA=$'x\n", 2, "`$'` is not closed"),
        ("\nif x\nthen\n", 2, "has no `fi`"),
        ("\n\nf() {\nA=1\n", 3, "has no `}`"),
        ("\ncase x in\n", 2, "has no `esac`"),
        ("\nwhile x; do\n", 2, "has no `done`"),
        ("\n(\n", 2, "has no `)`"),
        ("\n[[ x\n", 2, "`[[` is not closed"),
        ("\ncat <<E\nx\n", 2, "`<<E` is not closed"),
        ("\nx &&\n", 2, "goes on"),
        ("\nf()\n", 2, "goes on"),
        ("A=1\nfi\n", 2, "`fi` without its beginning"),
        ("A=1\n}\n", 2, "`}` without its beginning"),
        ("A=1\n)\n", 2, "`)` without its beginning"),
        ("A=1\nif x; done\n", 2, "`done` without its beginning"),
        ("A=1\n;;\n", 2, "outside of a `case`"),
        ("A=1\n; B=2\n", 2, "where a command belongs"),
        ("A=1\n&& B=2\n", 2, "where a command belongs"),
        ("A=1\nB= (x)\n", 2, "behind a word"),
        ("A=1\nB=(x)y\n", 2, "right behind"),
        ("A=1\nB=(x;y)\n", 2, "in an array"),
        ("A=1\nx >\n", 2, "no word behind"),
        ("A=1\ncase x of\n", 2, "where `in` belongs"),
        ("A=1\n\0", 2, "NUL"),
        ("A=1\nB=" + "$(" * 5000, 2, "in one another"),
        ("A=1\nB=" + '"${' * 5000, 2, "in one another"),
        ("A=1\nx " + "<(" * 5000, 2, "in one another"),
    ],
)
def test_what_a_shell_refuses_is_an_error_with_the_line_it_begins_on(
    text: str, line: int, what: str
) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text, "/etc/rc.conf")
    assert caught.value.line == line
    assert what in caught.value.what
    assert caught.value.way_out
    assert "/etc/rc.conf" in str(caught.value)


def edited(text: str, *edits: tuple[str, ...]) -> str:
    """Return a text after calls, each a method's name and arguments."""
    document = parse(text, "x")
    for method, *arguments in edits:
        getattr(document, method)(*arguments)
    return document.text()


@pytest.mark.parametrize(
    ("before", "new", "after"),
    [
        ("A=1\n", "2", "A=2\n"),
        ("A=1", "2", "A=2"),
        ("A=1\r\nB=2\r\n", "2", "A=2\r\nB=2\r\n"),
        ("  export A=1 # c\n", "2", "  export A=2 # c\n"),
        ("\tA='1'\t# c\n", "2", "\tA='2'\t# c\n"),
        ('A="1"\n', "2", 'A="2"\n'),
        ("A=1\n", "", "A=\n"),
        ('A="1"\n', "", 'A=""\n'),
        ("A=1\n", "a b", 'A="a b"\n'),
        ("A='1'\n", "a b", "A='a b'\n"),
        ("A='1'\n", "it's", 'A="it\'s"\n'),
        ("A='1'\n", '$x"`\\', "A='$x\"`\\'\n"),
        ("A=1\n", '$x"`\\', 'A="\\$x\\"\\`\\\\"\n'),
        ("A=1\n", "~", 'A="~"\n'),
        ("A=1\n", "caf\udce9", 'A="caf\udce9"\n'),
        ("A=1; B=2; A=3 C=4\n", "x", "A=1; B=2; A=x C=4\n"),
        ("A=1\nA=2\nB=3\n", "x", "A=1\nA=x\nB=3\n"),
        ("A=$B\n", "x", "A=x\n"),
        ("A='1 2' # c\n", "1 2", "A='1 2' # c\n"),
        ("A=\\1\n", "1", "A=\\1\n"),
        ('A=( "1"\n"2" ) # c\n', "1", "A=1 # c\n"),
        ('A="1\n2" # c\n', "1", 'A="1" # c\n'),
    ],
)
def test_a_value_changes_in_place_and_nothing_else(before: str, new: str, after: str) -> None:
    assert edited(before, ("set", "A", new)) == after
    assert edited(after, ("set", "A", new)) == after
    assert value(after) == new


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "N=v\n"),
        ("A=1\n", "A=1\nN=v\n"),
        ("A=1", "A=1\nN=v"),
        ("A=1\r\n", "A=1\r\nN=v\r\n"),
        ("A=1\r\nB=2", "A=1\r\nB=2\nN=v"),
        ("# c", "# c\nN=v"),
        ("# c \\", "# c \\\nN=v"),
        ("  ", "  \nN=v"),
        ("A=1\n\n", "A=1\n\nN=v\n"),
        ("cat <<E\nE", "cat <<E\nE\nN=v"),
        ("A=1;", "A=1;\nN=v"),
    ],
)
def test_a_new_line_comes_at_the_end_and_goes_again(before: str, after: str) -> None:
    assert edited(before, ("set", "N", "v")) == after
    assert edited(after, ("remove", "N")) == before
    assert edited(before, ("set", "N", "v"), ("remove", "N")) == before
    twice = edited(before, ("set", "N", "v"), ("set", "M", "w"))
    assert edited(edited(twice, ("remove", "M")), ("remove", "N")) == before
    assert edited(edited(twice, ("remove", "N")), ("remove", "M")) == before


@pytest.mark.parametrize("text", ["A=1\\", "A=1 \\\n", "A=1\\\n", "x\\", "A=1\r", "# c\r"])
def test_an_end_that_would_swallow_the_new_line_is_an_error(text: str) -> None:
    document = parse(text, "x")
    with pytest.raises(ParseError) as caught:
        document.set("N", "v")
    assert caught.value.way_out
    assert document.text() == text


def test_a_new_line_can_come_behind_another() -> None:
    text = "A=1 # c\nB=(\n2 )\nA=3\nC=4"
    assert edited(text, ("set_after", "N", "B", "v")) == "A=1 # c\nB=(\n2 )\nN=v\nA=3\nC=4"
    assert edited(text, ("set_after", "N", "A", "v")) == "A=1 # c\nB=(\n2 )\nA=3\nN=v\nC=4"
    assert edited(text, ("set_after", "N", "C", "v")) == text + "\nN=v"
    assert edited(text, ("set_after", "N", "none", "v")) == text + "\nN=v"
    assert edited(text, ("set_after", "A", "C", "v")) == text.replace("A=3", "A=v")
    chained = [("set_after", "N", "B", "1"), ("set_after", "M", "N", "2")]
    assert edited(text, *chained) == text.replace("2 )\n", "2 )\nN=1\nM=2\n")
    heredoc = "A=1; cat <<E\nx\nE\nB=2\n"
    assert edited(heredoc, ("set_after", "N", "A", "v")) == "A=1; cat <<E\nx\nE\nN=v\nB=2\n"


def test_the_last_edit_of_a_name_counts() -> None:
    assert edited("A=1\n", ("set", "A", "2"), ("set", "A", "1")) == "A=1\n"
    assert edited("A=1\n", ("set", "A", "2"), ("remove", "A")) == ""
    assert edited("A=1\nB=2\n", ("remove", "A"), ("set", "A", "3")) == "B=2\nA=3\n"
    assert edited("", ("set", "A", "2"), ("set", "A", "3")) == "A=3\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("X=1\nA=1 # c\nY=2\n", "X=1\nY=2\n"),
        ("X=1\n  export A='1\n2'\nY=2\n", "X=1\nY=2\n"),
        ("X=1\nA=(\n# c\n1\n)\n\nY=2\n", "X=1\n\nY=2\n"),
        ("A=1\nX=1\nA=2\n", "X=1\n"),
        ("X=1\nA=1", "X=1"),
        ("A=1", ""),
        ("A=1 X=1\n", "X=1\n"),
        ("X=1 A=1 # c\n", "X=1 # c\n"),
        ("X=1 A=1 A=2\n", "X=1\n"),
        ("export A=1 X=1 A=2\n", "export X=1\n"),
        ("export A=1 X\n", "export X\n"),
        ("A=1; X=1\n", "X=1\n"),
        ("X=1; A=1; # c\n", "X=1 # c\n"),
        ("x & A=1;\n", "x &\n"),
        ("(( 1 )); A=1\n", "(( 1 ))\n"),
        ("f() { x; }; A=1\n", "f() { x; }\n"),
        ("( x ); A=1; x\n", "( x ); x\n"),
        ("X=1; A=1; A=2\n", "X=1\n"),
        ("A=1; A=2\n", ""),
        ("export A=1; X=1\n", "X=1\n"),
        ("A=1; cat <<E\nx\nE\n", "cat <<E\nx\nE\n"),
        ("cat <<E; A=1\nx\nE\n", "cat <<E\nx\nE\n"),
        ("x & A=1\n", "x &\n"),
        ("A=1 \\\n  X=1\n", "X=1\n"),
        ("X=1\r\nA=1\r\n", "X=1\r\n"),
        ("X=1\r\nA=1", "X=1\r\n"),
        ("A+=1\nX=1\n", "X=1\n"),
        ("f() {\nA=1\n}\nA=2\n", "f() {\nA=1\n}\n"),
    ],
)
def test_removing_takes_the_lines_or_what_is_ours_on_them(before: str, after: str) -> None:
    assert edited(before, ("remove", "A")) == after
    assert edited(after, ("remove", "A")) == after


ARRAY = 'A=(\n  "1" # one\n  # two\n  "3"\n)\n'


@pytest.mark.parametrize(
    ("before", "items", "after"),
    [
        ("", ["a b", "c"], 'A=( "a b" "c" )\n'),
        ("A=1 # c\n", ["a"], 'A=( "a" ) # c\n'),
        ('A=( "1" "2" )\n', ["1", "x", "2"], 'A=( "1" "x" "2" )\n'),
        ('A=( "1" "2" )\n', ["x", "1", "2"], 'A=( "x" "1" "2" )\n'),
        ("A=(1 2)\n", ["1", "2", "$"], 'A=(1 2 "\\$")\n'),
        ("A=(1 2)\n", ["1"], "A=(1)\n"),
        ("A=(1 2 3)\n", ["1", "3"], "A=(1 3)\n"),
        ("A=( 1 )\n", [], "A=( )\n"),
        ("A=( )\n", ["1"], 'A=( "1" )\n'),
        (ARRAY, ["1", "x", "3"], 'A=(\n  "1" # one\n  "x"\n  # two\n  "3"\n)\n'),
        (ARRAY, ["1", "3", "x"], 'A=(\n  "1" # one\n  # two\n  "3"\n  "x"\n)\n'),
        (ARRAY, ["x", "1", "3"], 'A=(\n  "x"\n  "1" # one\n  # two\n  "3"\n)\n'),
        (ARRAY, ["3"], 'A=(\n  # two\n  "3"\n)\n'),
        (ARRAY, ["1"], 'A=(\n  "1" # one\n  # two\n)\n'),
        (ARRAY, ["1", "3"], ARRAY),
        ("A=($B 1)\n", ["1"], "A=( 1)\n"),
        ("A=(\r\n1\r\n)\r\n", ["1", "2"], 'A=(\r\n1\r\n"2"\r\n)\r\n'),
        ("A=(\r\n1 # c\r\n)\r\n", ["1", "2"], 'A=(\r\n1 # c\r\n"2"\r\n)\r\n'),
    ],
)
def test_the_items_of_an_array_change_and_its_comments_stay(
    before: str, items: list[str], after: str
) -> None:
    document = parse(before, "x")
    document.set_array("A", items)
    assert document.text() == after
    again = parse(after, "x")
    found = again.get("A")
    assert found and found.items == tuple(items)
    again.set_array("A", items)
    assert again.text() == after


def test_the_quote_can_be_asked_for() -> None:
    document = parse("A=1\n", "x")
    document.set("A", "2", quote="'")
    document.set("B", "2", quote='"')
    document.set("C", "it's", quote="'")
    document.set("D", "a b", quote="")
    assert document.text() == 'A=\'2\'\nB="2"\nC="it\'s"\nD="a b"\n'


def test_a_value_of_several_lines_has_to_be_asked_for() -> None:
    document = parse("A=1 # c\n", "x")
    document.set("A", "1\n2", multiline=True)
    document.set("B", "3\n4\n", multiline=True)
    assert document.text() == 'A="1\n2" # c\nB="3\n4\n"\n'
    assert value(document.text(), "B") == "3\n4\n"


@pytest.mark.parametrize("bad", ["1\n2", "1\r", "\0"])
def test_line_ends_and_nul_are_refused(bad: str) -> None:
    document = parse("A=1\n", "x")
    with pytest.raises(InputError):
        document.set("A", bad)
    with pytest.raises(InputError):
        document.set_array("A", ["1", bad])
    with pytest.raises(InputError):
        document.set("A", "\0", multiline=True)
    assert document.text() == "A=1\n"


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=", "é", "A\n"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        parse("", "x").set(name, "1")
    with pytest.raises(InputError):
        parse("", "x").set_array(name, ["1"])


# Generated files

NAMES = st.sampled_from(["A", "B", "IPADDR_0", "ifconfig_em0_alias0", "_x"])
TEXTS = st.text(st.sampled_from("ab1 \t\"'\\$`#;&|<>(){}~*?!=:\n\u00e9\udce9"), max_size=12)
LINES = st.sampled_from(
    [
        "# a comment 'with \" marks \\",
        "",
        "   ",
        "\tX='1 2' # c",
        "export X=1 Y=2",
        'X="1\n2"; Y=3',
        "X=$(echo hi)",
        "f() {\n  A=1\n}",
        "if [ -e x ]; then\n\tB=2\nfi",
        'Z=(\n  "1" # c\n  2\n)',
        "cat <<E\n' { (\nE",
        ". ./other",
        "caf\udce9=1",
        "A=old",
        "export B='old' # kept",
    ]
)


@st.composite
def files(draw: st.DrawFn) -> str:
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = "\n".join(draw(st.lists(LINES, max_size=8))) + draw(st.sampled_from(["", "\n"]))
    return text.replace("\n", end)


@given(files(), NAMES, TEXTS)
@example("", "A", "\n")
def test_what_is_set_is_read_and_setting_it_twice_changes_nothing(
    text: str, name: str, new: str
) -> None:
    document = parse(text, "x")
    assert document.text() == text
    document.set(name, new, multiline=True)
    once = document.text()
    assert value(once, name) == new
    again = parse(once, "x")
    again.set(name, new, multiline=True)
    assert again.text() == once
    before, after = others(parse(text, "x"), name), others(again, name)
    assert before == after


def others(document: Document, name: str) -> list[tuple[str, str | None, object]]:
    return [
        (a.name, a.value, a.items) for n in document.names() if n != name for a in document.all(n)
    ]


@given(files(), TEXTS.filter(lambda new: "\n" not in new), st.sampled_from(["", "A", "X", "Z"]))
def test_a_name_set_and_removed_leaves_the_same_bytes(text: str, new: str, other: str) -> None:
    document = parse(text, "x")
    document.set_after("NEW", other, new)
    grown = document.text()
    foreign = [line for line in difflib.ndiff(text.split("\n"), grown.split("\n"))]
    assert not [line for line in foreign if line.startswith("- ")]
    again = parse(grown, "x")
    again.remove("NEW")
    assert again.text() == text


@given(st.lists(TEXTS, max_size=6), st.lists(TEXTS, max_size=6), st.booleans())
def test_an_array_set_is_read(old: list[str], new: list[str], spread: bool) -> None:
    old, new = ([item.replace("\n", "") for item in items] for items in (old, new))
    document = parse("", "x")
    document.set_array("A", old)
    text = document.text()
    if spread:
        raw = " ".join(f"\n\t{shellvars._quoted(item, '')} # c" for item in old)
        text = f"A=({raw}\n)\n"
    document = parse(text, "x")
    found = document.get("A")
    assume(found and not found.opaque)
    document.set_array("A", new)
    again = parse(document.text(), "x").get("A")
    assert again and again.items == tuple(new)


SOUP = st.lists(
    st.sampled_from(
        [*"AB=1 \t\n\n\r'\"\\$`#;&|<>(){}[]~*!+@", "A=", "B=(", "$(", "${", "$((", "<<E\n", "E\n",
         "if ", "fi\n", "then ", "case ", "esac ", " in ", "for ", "do ", "done ", "f() ",
         "export ", "[[ ", " ]]", "eval ", "unset A", ";;", "&&", "\r\n", "\0", "\udce9", "$'"]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@settings(max_examples=1000)
@given(st.one_of(SOUP, st.text()))
def test_any_text_is_kept_or_refused(text: str) -> None:
    try:
        document = parse(text, "x")
    except ParseError as error:
        assert 1 <= error.line <= text.count("\n") + 1
        return
    assert document.text() == text
    before = others(document, "NEW")
    try:
        document.set("NEW", "v w")
    except ParseError:
        return
    again = parse(document.text(), "x")
    assert value(document.text(), "NEW") == "v w"
    assert others(again, "NEW") == before
    if not document.all("NEW"):
        again.remove("NEW")
        assert again.text() == text


@settings(max_examples=500)
@given(SOUP)
def test_removing_leaves_what_can_be_read(text: str) -> None:
    try:
        document = parse(text, "x")
    except ParseError:
        return
    document.remove("A")
    again = parse(document.text(), "x")
    assert again.get("A") is None
    assert others(again, "A") == others(document, "A")


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        *[("$\\\n1", None), ("a$\\\n\\\nB", None), ('"$\\\n1"', None)],
        *[("$\\\n;", "$"), ("$\\\n'a'", None), ("$\\\n(echo)", None)],
    ],
)
def test_a_line_that_goes_on_behind_a_dollar_is_joined_first(raw: str, read: str | None) -> None:
    assert value(f"A={raw}\n") == read
