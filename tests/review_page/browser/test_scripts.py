"""The page's own computations agree with the server's: positions, states, pieces of text, time."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

import icdcli
from icdcli.review.decisions import DecisionEvent
from icdcli.review.state import ReviewState, fold
from icdcli.review_page.note_routes import state_json

pytestmark = pytest.mark.slow

STATIC = Path(icdcli.__file__).parent / "review_page" / "static"
HOST = "http://page.test"
ALPHABET = "ab \nKé한\u0301😀👩🏽‍🌾💊"
CODES = ("I10", "E11.9", "J18.9", "486", "R07.9")
EMPTY = {"number": 0, "order": [], "comments": [], "overrides": {}, "submitted": False}


@pytest.fixture(scope="module")
def scripts(chromium: Browser) -> Iterator[Page]:
    """Return an empty page that can import the scripts."""
    page = chromium.new_page()

    def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        body = (STATIC / name).read_text("utf-8") if name else "<!doctype html><title>empty</title>"
        kind = "text/javascript" if name else "text/html"
        route.fulfill(body=body, content_type=f"{kind}; charset=utf-8")

    page.route("**/*", answer)
    page.goto(f"{HOST}/")
    yield page
    page.close()


def random_text(numbers: random.Random, most: int = 40) -> str:
    return "".join(numbers.choices(ALPHABET, k=numbers.randrange(most)))


def test_positions_are_those_of_python(scripts: Page) -> None:
    texts = [random_text(random.Random(seed)) for seed in range(200)]
    found = scripts.evaluate(
        """async (texts) => {
          const { Positions } = await import("/positions.js");
          return texts.map((text) => {
            const positions = new Positions(text);
            return [...text, ""].map((_, point) => {
              const unit = positions.toUnits(point);
              return [unit, positions.toPoints(unit)];
            });
          });
        }""",
        texts,
    )
    for text, pairs in zip(texts, found, strict=True):
        points = range(len(text) + 1)
        units = [len(text[:point].encode("utf-16-le")) // 2 for point in points]
        assert pairs == [list(pair) for pair in zip(units, points, strict=True)], text


def random_decision(numbers: random.Random, state: ReviewState) -> tuple[str, dict[str, Any]]:
    """Return a decision that is possible in a state."""
    code = numbers.choice(CODES)
    if state.submitted:
        return numbers.choice([("reopen", {}), ("comment", {"text": "later"})])
    possible: list[tuple[str, dict[str, Any]]] = [
        ("accept", {"code": code}),
        ("reject", {"code": code, "reason": "denied"}),
        ("replace", {"code": code, "by": numbers.choice([one for one in CODES if one != code])}),
        ("comment", {"text": f"word {numbers.random():.3f}", "code": code}),
        ("comment", {"text": "on the note"}),
        ("override", {"finding": "excludes: I10", "reason": "unrelated"}),
        ("submit", {}),
    ]
    if code in state.codes:
        possible += [
            ("mark", {"code": code, "evidence": [[1, 5], [7, 9]]}),
            ("poa", {"code": code, "value": "N"}),
        ] * 3
    else:
        possible.append(("add", {"code": code, "evidence": [[0, 3]]}))
    if len(state.codes) > 1:
        possible += [("order", {"codes": numbers.sample(state.codes, len(state.codes))})] * 2
    return numbers.choice(possible)


def test_states_are_those_of_the_server(scripts: Page) -> None:
    cases = []
    for seed in range(150):
        numbers, events = random.Random(seed), []
        for number in range(1, numbers.randrange(2, 15)):
            kind, details = random_decision(numbers, fold(events))
            at = datetime(2026, 5, 31, tzinfo=UTC)
            events.append(DecisionEvent(number, "ana", at, kind, details))  # type: ignore[arg-type]
        known = numbers.randrange(len(events))
        drafts = [{"kind": one.kind, "details": one.details} for one in events[known:]]
        before, after = state_json(fold(events[:known])), state_json(fold(events))
        cases.append(([before, drafts], after))
    found = scripts.evaluate(
        """async (cases) => {
          const { folded } = await import("/folding.js");
          return cases.map(([before, drafts]) => drafts.reduce(folded, before));
        }""",
        [case for case, _ in cases],
    )
    for (case, expected), own in zip(cases, found, strict=True):
        assert comparable(own) == comparable(expected), case


def comparable(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state without what the page leaves to the server: the places of further codes."""
    decisions = {
        code: {name: value for name, value in one.items() if value is not None}
        for code, one in state["decisions"].items()
    }
    codes = state["codes"]
    return {
        **state,
        "decisions": decisions,
        "comments": sorted(state["comments"], key=str),
        "codes": sorted(codes),
        # The order may have codes that were rejected later; those that count are compared.
        "order": [code for code in state["order"] if code in codes],
    }


def test_an_adjudicator_decides_on_codes_that_only_readers_found(scripts: Page) -> None:
    def state(**statuses: str) -> dict[str, Any]:
        decisions = {code: {"status": status} for code, status in statuses.items()}
        codes = [code for code, status in statuses.items() if status == "accepted"]
        return {**EMPTY, "decisions": decisions, "codes": codes}

    suggestions = [{"code": "I10", "predicted": True, "evidence": []}]
    readings = [{"state": state(I10="accepted", Z51="accepted")}, {"state": state(I10="rejected")}]
    data = {"note": {"text": ""}, "suggestions": suggestions, "readings": readings}
    found = scripts.evaluate(
        """async ([data, states]) => {
          const { Review } = await import("/review.js");
          return states.map((state) => {
            const review = new Review({ ...data, state });
            return [review.undecided, review.numberToDecide];
          });
        }""",
        [data, [state(), state(I10="accepted"), state(I10="accepted", Z51="rejected")]],
    )
    assert found == [[["I10", "Z51"], 2], [["Z51"], 2], [[], 2]]


def test_pieces_and_paragraphs_lose_no_character(scripts: Page) -> None:
    cases = []
    for seed in range(100):
        numbers = random.Random(seed)
        text = random_text(numbers, 120)
        length = len(text.encode("utf-16-le")) // 2
        places = [sorted(numbers.choices(range(length + 1), k=2)) for _ in range(6)]
        spans = [
            {"begin": begin, "end": end, "code": f"C{end % 3}", "said": "negated"}
            for begin, end in places
            if begin < end
        ]
        sections = [{"begin": begin, "end": end, "title": "t"} for begin, end in places[:3]]
        cases.append([text, spans, sections])
    found = scripts.evaluate(
        """async (cases) => {
          const { pieces, paragraphs, withoutGaps } = await import("/evidence.js");
          return cases.map(([text, spans, sections]) => {
            const shown = [];
            for (const { begin, end } of withoutGaps(sections, text.length)) {
              for (const [from, to] of paragraphs(text, begin, end, 30)) {
                shown.push(...pieces(from, to, spans));
              }
            }
            return shown.map((one) => [one.begin, one.end, one.codes]);
          });
        }""",
        cases,
    )
    for (text, spans, _), shown in zip(cases, found, strict=True):
        length = len(text.encode("utf-16-le")) // 2
        assert [place for begin, end, _ in shown for place in range(begin, end)] == list(
            range(length)
        )
        for begin, end, codes in shown:
            for place in range(begin, end):
                here = {one["code"] for one in spans if one["begin"] <= place < one["end"]}
                assert set(codes) == here


def test_time_passes_only_while_somebody_may_read(scripts: Page) -> None:
    spent = scripts.evaluate(
        """async () => {
          const { Clock } = await import("/clock.js");
          let now = 0, isHidden = false;
          Object.defineProperty(document, "hidden", { get: () => isHidden, configurable: true });
          const turn = (hidden) => {
            isHidden = hidden;
            document.dispatchEvent(new Event("visibilitychange"));
          };
          const clock = new Clock(() => now);
          const spent = [];
          now += 10_000;
          turn(true);
          now += 60_000; // nobody sees the page
          turn(false);
          now += 5_000;
          spent.push(clock.take());
          now += 3_000;
          spent.push(clock.take());
          now += 40 * 60_000; // nobody touches it: the first five minutes may be reading
          document.dispatchEvent(new Event("keydown"));
          now += 2_000;
          spent.push(clock.take());
          return spent;
        }"""
    )
    assert spent == [15, 3, 302]
