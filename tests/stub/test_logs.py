"""A child's log: cutting, cleaning, rotating, numbering, paging."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.stub import reading
from taxiway.stub.logs import LINE_BYTES, LineSplitter, LogWriter, clean_text, log_files
from taxiway.stub.output import BURST_BYTES, Output


def texts(directory: Path, **how: object) -> list[str]:
    arguments: dict[str, object] = {"after": 0, "limit": 100_000, "contains": None} | how
    return [line.text for line in reading.read(directory, **arguments).lines]  # type: ignore[arg-type]


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_lines_come_out_as_they_went_in_however_they_are_cut(pieces: list[bytes]) -> None:
    splitter = LineSplitter()
    lines = [line for piece in pieces for line, _ in splitter.feed(piece)]
    lines += [line for line, _ in splitter.flush()]
    joined = b"".join(pieces)
    expected = joined.split(b"\n")
    assert lines == (expected if expected[-1] else expected[:-1])


def test_a_line_without_end_takes_no_memory() -> None:
    splitter = LineSplitter()
    for _ in range(1000):
        assert splitter.feed(b"x" * 65536) == []
    ((kept, left_out),) = splitter.feed(b"\n")
    assert len(kept) == LINE_BYTES
    assert left_out == 65_536_000 - LINE_BYTES


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain \xc3\xa4", "plain ä"),
        (b"\x1b[31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07after", "after"),
        (b"10%\r50%\r100%\r", "100%"),
        (b"\x00\x07\xff", "\\x00\\x07\\xff"),
        (b"tab\tstays", "tab\tstays"),
        ("line\u2028break\x85".encode(), "line\\u2028break\\x85"),
    ],
)
def test_lines_are_made_printable(raw: bytes, text: str) -> None:
    assert clean_text(raw) == text


@given(st.binary(max_size=500))
def test_no_bytes_break_the_log_into_other_lines(raw: bytes) -> None:
    text = clean_text(raw.replace(b"\n", b""))
    assert len(text.splitlines()) <= 1


def test_the_log_never_exceeds_its_cap(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path), file_bytes=40_000, files=3)
    for number in range(3000):
        log.write("o", f"line {number} " + "x" * 100)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 120_000
    log.close()
    assert len(log_files(str(tmp_path))) == 3
    kept = texts(tmp_path)
    assert kept[-1].startswith("line 2999 ")
    first = 3000 - len(kept)
    assert kept[0].startswith(f"line {first} ")


def test_sequences_go_on_after_a_new_start_and_a_torn_line(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path), file_bytes=100_000, files=2)
    log.write_all([("o", "one"), ("e", "two")])
    log.close()
    with (tmp_path / log_files(str(tmp_path))[0]).open("ab") as file:
        file.write(b"3 17000")
    again = LogWriter(str(tmp_path), file_bytes=100_000, files=2)
    again.write("s", "three")
    again.close()
    lines = reading.read(tmp_path, after=0, limit=10, contains=None).lines
    assert [(line.sequence, line.stream, line.text) for line in lines] == [
        (1, "stdout", "one"),
        (2, "stderr", "two"),
        (3, "stub", "three"),
    ]


@pytest.fixture
def long_log(tmp_path: Path) -> Path:
    log = LogWriter(str(tmp_path), file_bytes=300_000, files=10)
    log.write_all([("o", f"line {number} {'needle' if number % 1000 == 0 else ''}") for number in range(1, 20_001)])
    log.close()
    return tmp_path


def test_pages_cover_every_line_once_over_all_files(long_log: Path) -> None:
    assert len(log_files(str(long_log))) > 2
    after, seen = 0, []
    while True:
        page = reading.read(long_log, after=after, limit=777, contains=None)
        seen += [line.sequence for line in page.lines]
        after = page.next_sequence
        if page.is_complete:
            break
    assert seen == list(range(1, 20_001))


@pytest.mark.parametrize("after", [0, 1, 4321, 19_998, 20_000, 99_999])
def test_a_page_begins_right_after_what_was_asked(long_log: Path, after: int) -> None:
    page = reading.read(long_log, after=after, limit=3, contains=None)
    assert [line.sequence for line in page.lines] == [n for n in range(after + 1, after + 4) if n <= 20_000]
    assert page.next_sequence == min(after + 3, max(20_000, after))


def test_search_ignores_letter_case(long_log: Path) -> None:
    page = reading.read(long_log, after=5000, limit=100, contains="NEEDLE")
    assert [line.sequence for line in page.lines] == list(range(6000, 20_001, 1000))
    assert page.is_complete


def test_tail_gives_the_last_lines(long_log: Path) -> None:
    page = reading.tail(long_log, limit=2)
    assert [line.sequence for line in page.lines] == [19_999, 20_000]
    assert reading.tail(long_log / "missing", limit=5).lines == ()


def test_a_line_that_is_being_written_is_not_shown_yet(tmp_path: Path) -> None:
    (tmp_path / f"{1:020d}.log").write_bytes(b"1 1700000000.5 o whole\n2 1700000000.6 o par")
    assert texts(tmp_path) == ["whole"]


def test_a_flood_is_cut_and_said_to_be(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path), file_bytes=1 << 20, files=2)
    output = Output(log)
    block = (b"y" * 99 + b"\n") * 600
    for _ in range(BURST_BYTES // len(block) + 200):
        output._take("o", block, 100.0)
    output._take("o", b"later\n", 101.0)
    log.close()
    kept = texts(tmp_path)
    assert kept[-1] == "later"
    assert "bytes of output were left out here" in kept[-2]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 << 20


def test_a_full_disk_loses_lines_and_nothing_else(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path / "log"), file_bytes=50_000, files=2)
    log.write("o", "before")
    log._fd, kept = -1, log._fd
    log._directory = str(tmp_path / "missing")
    log.write("o", "lost")
    log._fd, log._directory = kept, str(tmp_path / "log")
    log.write("o", "after")
    log.close()
    lines = reading.read(tmp_path / "log", after=0, limit=10, contains=None).lines
    assert [(line.sequence, line.text) for line in lines] == [(1, "before"), (3, "after")]
