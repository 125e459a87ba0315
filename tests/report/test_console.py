import json
import math
import os
import sys
from collections.abc import Callable
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
from rich.table import Table

from icdcli.report.console import Output
from icdcli.report.progress import BarProgress, LineProgress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def written(output: Output) -> str:
    assert isinstance(output.console.file, StringIO)
    return output.console.file.getvalue()


def test_messages_go_to_stdout_alerts_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.say("a message")
    output.warn("a warning")
    output.error("an error")
    output.result({"ignored": 1})
    captured = capsys.readouterr()
    assert captured.out == "a message\n"
    assert captured.err == "warning: a warning\nerror: an error\n"


@pytest.mark.parametrize("json", [False, True])
def test_of_several_processes_all_but_one_print_only_errors(
    capsys: pytest.CaptureFixture[str], json: bool
) -> None:
    output = Output(json, errors_only=True)
    output.say("said")
    output.warn("warned")
    output.show(Table("shown"))
    assert not output.live
    output.error("failed")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "error: failed\n")


def test_user_text_is_never_markup(capsys: pytest.CaptureFixture[str]) -> None:
    Output().say("see [red]x[y][/red] :smile: \x1b[31m")
    assert capsys.readouterr().out == "see [red]x[y][/red] :smile: �[31m\n"


def test_a_line_in_a_pipe_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.say("word " * 100 + "end")
    output.error("word " * 100 + "end")
    captured = capsys.readouterr()
    assert captured.out.count("\n") == captured.err.count("\n") == 1


@pytest.mark.parametrize("columns", ["0", "00", "1", "19"])
def test_a_size_that_nothing_fits_in_is_an_unknown_size(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", "0")
    output = Output()
    output.say("a message")
    output.error("an error")
    table = Table("code", "title")
    table.add_row("428.0", "heart failure")
    output.show(table)
    captured = capsys.readouterr()
    assert "a message" in captured.out and "heart failure" in captured.out
    assert captured.err == "error: an error\n"


def test_a_table_in_a_pipe_has_neither_color_nor_trailing_blanks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = Table("code", "title", header_style="bold red")
    table.add_row("428.0", "heart failure")
    Output().show(table)
    out = capsys.readouterr().out
    assert "heart failure" in out
    assert "\x1b" not in out
    assert all(line == line.rstrip() for line in out.splitlines())


def test_a_character_that_the_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(raw, encoding="ascii"))
    Output().say("cefalea crónica")
    sys.stdout.flush()
    assert raw.getvalue() == b"cefalea cr\\xf3nica" + os.linesep.encode()


def test_json_gives_one_object_and_the_rest_goes_to_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = Output(json=True)
    output.say("a message")
    output.show(Table("a column"))
    output.error("an error")
    output.result(
        {
            "nan": math.nan,
            "inf": [np.float32("inf"), 0.5],
            "array": np.array([1, 2]),
            "count": np.int64(3),
            "path": Path("a") / "b",
            "nested": {"text": "crónica", "none": None, "yes": True, "tuple": (1,)},
        }
    )
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {
        "nan": None,
        "inf": [None, 0.5],
        "array": [1, 2],
        "count": 3,
        "path": str(Path("a") / "b"),
        "nested": {"text": "crónica", "none": None, "yes": True, "tuple": [1]},
    }
    assert "a message" in captured.err
    assert "a column" in captured.err
    assert "an error" in captured.err


def test_a_second_result_is_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(json=True)
    output.result({})
    with pytest.raises(RuntimeError, match="one result"):
        output.result({})
    assert capsys.readouterr().out == "{}\n"


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert Output().console.no_color


def test_lines_come_after_two_seconds_and_then_every_ten() -> None:
    said: list[str] = []
    clock = Clock()
    progress = LineProgress(said.append, "Reading [notes]", 400, "rows", clock)
    for now, done in ((1, 10), (3, 100), (9, 150), (13, 200), (22, 300), (24, 400)):
        clock.now = now
        progress.update(done)
    progress.close()
    assert said == [
        "Reading [notes]: 100/400 rows, 0:00:09 left",
        "Reading [notes]: 200/400 rows, 0:00:13 left",
        "Reading [notes]: 400/400 rows, 0:00:00 left",
        "Reading [notes]: done, 400/400 rows in 0:00:24",
    ]


def test_lines_without_a_total_show_how_long_it_has_taken() -> None:
    said: list[str] = []
    clock = Clock()
    progress = LineProgress(said.append, "Reading", None, "bytes", clock)
    clock.now = 65
    progress.update(1_500_000)
    assert said == ["Reading: 1.5 MB, 23 kB/s, 0:01:05 so far"]
    clock.now = 90
    progress.update(2_000_000, total=4_000_000)
    assert said[1:] == ["Reading: 2.0/4.0 MB, 22 kB/s, 0:01:30 left"]


def test_quick_work_shows_nothing(capsys: pytest.CaptureFixture[str], terminal: Output) -> None:
    for output in (Output(), terminal):
        with output.progress("Reading", 10, "rows") as progress:
            progress.update(10)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    assert "Reading" not in written(terminal)
    assert "\n" not in written(terminal)


def test_a_bar_appears_after_two_seconds_and_fits(render: Callable[..., list[str]]) -> None:
    clock = Clock()
    bar = BarProgress("Tokenizing a corpus with quite a long name", 1_000, "documents", clock)
    bar.update(100)
    clock.now = 1
    assert render(bar) == []
    clock.now = 4
    (line,) = render(bar)
    assert line.startswith("Tokenizing a corpus with qu…")
    assert line.endswith("100/1,000 documents  0:00:36 left")
    assert len(line) == 80
    bar.close()
    assert render(bar)[0].endswith("100/1,000 documents  0:00:04")


def test_progress_and_warnings_beside_a_live_view_stay_on_its_console(
    capsys: pytest.CaptureFixture[str], terminal: Output
) -> None:
    with terminal.watch("the view"):
        terminal.warn("look out")
        with terminal.progress("Reading", 10) as progress:
            progress.update(10)
    terminal.warn("afterwards")
    assert "look out" in written(terminal)
    assert "the view" in written(terminal)
    assert capsys.readouterr().err == "warning: afterwards\n"


def test_a_progress_that_fails_passes_its_error_on(terminal: Output) -> None:
    for output in (Output(), terminal):
        with pytest.raises(KeyError), output.progress("Reading", 10):
            raise KeyError("x")


def test_stages_are_shown_one_after_another(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icdcli.report.progress.PATIENCE", 0.0)
    with Output().stages() as on_progress:
        on_progress("reading", 1, 2, "rows")
        on_progress("tokenizing", 5, 0)
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == [
        "reading: 1/2 rows",
        "reading: done",
        "tokenizing: 5 documents",
        "tokenizing: done",
    ]


def test_waiting_is_told_on_a_terminal_only(
    terminal: Output, capsys: pytest.CaptureFixture[str]
) -> None:
    with terminal.waiting("Loading PyTorch …"):
        pass
    assert "Loading PyTorch …" in written(terminal)
    with Output().waiting("Loading PyTorch …"):
        pass
    assert capsys.readouterr().out == ""
