"""The editor of shell assignments against real shells and real files."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_shellvars import CORPUS, FOLDERS, OPAQUE, TEXTS, VALUES, others

from saltext.ipalias.text.shellvars import parse

# Real shells


def shell(kind: str) -> str:
    path = shutil.which(kind)
    if not path:
        pytest.skip(f"not applicable: no {kind} here")
    return path


def asked(kind: str, folder: Path, text: str, names: list[str]) -> list[str]:
    """Return what a shell prints for names after it has read a text."""
    (folder / "vars").write_bytes(text.encode("utf-8", "surrogateescape"))
    script = ". ./vars; " + " ".join(f"printf '%s\\0' \"${{{name}}}\";" for name in names)
    return run([shell(kind), "-c", script], folder)


def run(argv: list[str], folder: Path) -> list[str]:
    done = subprocess.run(argv, cwd=folder, env={}, capture_output=True, check=True, timeout=60)
    assert not done.stderr, done.stderr
    return done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


def values(text: str) -> dict[str, str | None]:
    document = parse(text, "x")
    return {name: document.all(name)[-1].value for name in document.names()}


@pytest.mark.parametrize("kind", ["dash", "bash"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_shells_read_the_table_so(kind: str, end: str, tmp_path: Path) -> None:
    for raw, expected in VALUES:
        assert asked(kind, tmp_path, f"A={raw}{end}", ["A"]) == [expected], raw


PIECES = st.one_of(
    st.text(st.sampled_from("ab1#=:.*?{},+@!-\u00e9\udce9"), min_size=1, max_size=4),
    st.text(st.sampled_from('ab \t\n"\\$`#;~'), max_size=6).map(lambda t: f"'{t}'"),
    st.text(st.sampled_from("ab \t\n'#;~"), max_size=6).map(lambda t: f'"{t}"'),
    st.sampled_from(["\\ ", "\\\\", "\\'", '\\"', "\\$", "\\#", "\\\n", "\\a", '"\\a\\\\"', "$"]),
    st.sampled_from(['"\\`\\$\\""', '"\\\n"', '"$"', '"a$ b"']),
)
VALUE = st.lists(PIECES, max_size=5).map("".join)
PLAIN = st.builds(
    "{}{}={}".format, st.sampled_from(["", " ", "\t", "export "]), st.sampled_from("ABCD"), VALUE
)
GAPS = st.sampled_from(["\n", "\n\n", ";", " ; ", " # c\n", "\n# A='\n", "\n \\\n", ";\n"])


@st.composite
def plain_files(draw: st.DrawFn) -> str:
    return "".join(draw(PLAIN) + draw(GAPS) for _ in range(draw(st.integers(1, 8))))


@pytest.mark.parametrize("kind", ["dash", "bash"])
def test_shells_read_generated_files_so(
    kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("shell")

    @settings(max_examples=150, database=None)
    @given(plain_files())
    def same(text: str) -> None:
        assume("${" not in text)
        found = values(text)
        assume(None not in found.values())
        assert asked(kind, folder, text, list(found)) == list(found.values())

    same()


def test_bash_reads_arrays_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("bash")
    gaps = st.sampled_from([" ", "\n", " # c\n", "\n\n\t# '\n", "\\\n "])

    @settings(max_examples=100, database=None)
    @given(st.lists(st.tuples(VALUE, gaps), max_size=5), st.booleans())
    def same(parts: list[tuple[str, str]], exported: bool) -> None:
        # A leading # would make an item a comment, and the bracket with it.
        body = "".join(re.sub(r"\A(\\\n)*#", "x#", item) + gap for item, gap in parts)
        text = f"{'export ' if exported else ''}A=( {body})\n"
        assume("${" not in text)
        found = parse(text, "x").get("A")
        assert found and found.items is not None
        assume(not found.opaque)
        (folder / "vars").write_bytes(text.encode("utf-8", "surrogateescape"))
        script = '. ./vars; for item in "${A[@]}"; do printf "%s\\0" "$item"; done'
        assert run([shell("bash"), "-c", script], folder) == list(found.items)

    same()


SETTINGS = st.builds(
    "{}{}={}".format,
    st.sampled_from(["", "", "export ", "B=7 "]),
    st.sampled_from("ABC"),
    st.sampled_from(["1", "'x y'", '"x\ny"', '"$(echo "d")"', "a\\ b", "", "'#'", "2#3"]),
)
BETWEEN = st.sampled_from(["\n", "; ", "\n\n", " # c'\n", " ;\n", " && ", " || ", " & "])
AROUND = st.sampled_from(
    [
        "f() {{ {}\n}}",
        "if false; then {}\nfi",
        "if :; then\n{0}\nelse\n{0}\nfi",
        "( {}\n)",
        "{{ {}\n}}",
        "case x in (x) {0}\n;;\n a|b) {0}\n;; esac",
        "for B in 1 2; do {}\ndone",
        "while false; do {}\ndone",
        ": $( {}\n)",
        ": <<E\nA=bad ' {{\nE\n{}",
        "unset C; {}",
        "eval 'A=9'; {}",
        "! {}",
        "(( 1 )); {}",
        "[[ a < b ]]; {}",
        ": ${{A:=7}} ${{B=8}}; {}",
    ]
)
PROGRAMS = st.recursive(
    SETTINGS,
    lambda inner: st.one_of(
        st.builds("{}{}{}".format, inner, BETWEEN, inner),
        st.builds(lambda around, body: around.format(body), AROUND, inner),
    ),
    max_leaves=8,
)


def test_bash_agrees_on_what_is_certain(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Names that are not told as hidden have the value the shell ends with, or none."""
    folder = tmp_path_factory.mktemp("bash")

    @settings(max_examples=200, database=None)
    @given(PROGRAMS)
    def same(text: str) -> None:
        document = parse(text, "x")
        assert document.text() == text
        (folder / "vars").write_text(text)
        script = '. ./vars; printf \'%s\\0\' "$A" "$B" "$C"'
        done = subprocess.run(
            [shell("bash"), "-c", script], cwd=folder, env={}, capture_output=True, check=True
        )
        for name, real in zip("ABC", done.stdout.decode().split("\0"), strict=False):
            found = document.get(name)
            if not document.hidden(name) and not (found and found.opaque):
                assert (found.value if found else "") == real, name
        document.remove("A")
        assert others(parse(document.text(), "x"), "A") == others(document, "A")

    same()


@given(TEXTS)
@settings(max_examples=60, database=None)
def test_shells_read_what_is_written_so(new: str) -> None:
    document = parse("A=1\nB='1'\nC=\"1\"\n", "x")
    for name in "ABCD":
        document.set(name, new, multiline=True)
    text = document.text().encode("utf-8", "surrogateescape")
    for kind in ("dash", "bash"):
        script = text + b'\nprintf \'%s\\0\' "$A" "$B" "$C" "$D"'
        done = subprocess.run([shell(kind)], input=script, env={}, capture_output=True, check=True)
        assert done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1] == [new] * 4


@pytest.mark.parametrize("text", [f"A=1\n{opaque}\nB=3\n" for opaque in OPAQUE])
def test_bash_takes_what_is_kept_unread(text: str, tmp_path: Path) -> None:
    (tmp_path / "vars").write_text(text)
    run([shell("bash"), "-n", "vars"], tmp_path)


# Real files


def corpus() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (CORPUS / folder).glob("*"))


def read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


@pytest.fixture
def real_files() -> list[Path]:
    if not corpus():
        assert "IPALIAS_CORPUS" not in os.environ, "IPALIAS_CORPUS names no corpus"
        pytest.skip("not applicable: no corpus beside the checkout")
    return corpus()


@pytest.mark.corpus
def test_real_files_get_one_line_and_come_back(real_files: list[Path]) -> None:
    for path in real_files:
        text = read(path)
        document = parse(text, path.name)
        assert document.text() == text
        document.set("IPALIAS_new", "192.0.2.1 netmask 255.255.255.255")
        grown = document.text()
        diff = list(difflib.ndiff(text.split("\n"), grown.split("\n")))
        assert [line for line in diff if line[0] in "+-"] == [
            '+ IPALIAS_new="192.0.2.1 netmask 255.255.255.255"'
        ], path
        again = parse(grown, path.name)
        again.remove("IPALIAS_new")
        assert again.text() == text, path
        for name in document.names():
            changed = parse(text, path.name)
            changed.set_after("IPALIAS_new", name, "1")
            back = parse(changed.text(), path.name)
            back.remove("IPALIAS_new")
            assert back.text() == text, (path, name)
    assert len(real_files) > 30


@pytest.mark.corpus
def test_real_arrays_grow_and_come_back(real_files: list[Path]) -> None:
    tried = 0
    for path in real_files:
        text = read(path)
        for name in parse(text, path.name).names():
            document = parse(text, path.name)
            found = document.get(name)
            if found and found.items is not None:
                tried += 1
                items = [item or "" for item in found.items]
                document.set_array(name, [*items, "192.0.2.1/32"])
                again = parse(document.text(), path.name)
                again.set_array(name, items)
                assert again.text() == text, (path, name)
    assert tried >= 7


@pytest.mark.corpus
def test_real_files_of_plain_assignments_are_read_as_a_shell_does(
    real_files: list[Path], tmp_path: Path
) -> None:
    tried = 0
    line = r"[ \t]*(#.*|[A-Za-z0-9_]+=(\"[^\"$`\\\n]*\"|'[^'\n]*'|[A-Za-z0-9.:_/-]*)[ \t]*(#.*)?)?"
    for path in real_files:
        text = read(path)
        if not all(re.fullmatch(line, each) for each in text.split("\n")):
            continue
        found = values(text)
        assert None not in found.values()
        tried += 1
        for kind in ("dash", "bash"):
            assert asked(kind, tmp_path, text, list(found)) == list(found.values()), path
    assert tried > 24
