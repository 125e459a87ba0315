from html.parser import HTMLParser

from icdcli.data.encounters.boundaries import NotePlace
from icdcli.evaluation.sample import SampleDocument, SamplePrediction
from icdcli.explain.spans import EvidenceSpan
from icdcli.report.views.documents import documents_html

TEXT = "No fever <b>. Known heart failure; cough 😷."
HEART, FEVER = (TEXT.index(word) for word in ("heart", "fever"))


def document(**evidence: tuple[EvidenceSpan, ...]) -> SampleDocument:
    prediction = SamplePrediction(
        "<7>", ("I50.9", "R05"), ("I50.9", "R50.9"), {"I50.9": 0.9, "R50.9": 0.6, "R05": 0.1}
    )
    return SampleDocument(
        prediction, TEXT, {name.replace("_", "."): one for name, one in evidence.items()}
    )


def test_the_whole_note_is_shown_with_marked_words() -> None:
    html = documents_html(
        [
            document(
                I50_9=(EvidenceSpan(HEART, HEART + 13, 1.0, "affirmed"),),
                R50_9=(EvidenceSpan(FEVER, FEVER + 5, 1.0, "negated"),),
            )
        ],
        {"I50.9": "Heart failure"},
    )
    assert (
        'No <mark data-codes="R50.9">fever</mark> <small>(denied)</small> &lt;b&gt;. Known '
        '<mark data-codes="I50.9">heart failure</mark>; cough 😷.'
    ) in html
    assert "<summary>&lt;7&gt; (1 right, 1 missed, 1 not gold)</summary>" in html
    seen: set[str] = set()
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: seen.add(tag)  # type: ignore[method-assign]
    parser.feed(html)
    assert seen <= {*"h2 p details summary div ul li span button b mark small".split()}


def test_every_code_has_its_status_score_and_title() -> None:
    html = documents_html([document(R50_9=(EvidenceSpan(FEVER, FEVER + 5, 1.0, "negated"),))], {})
    assert ">R50.9</button>  <span class=extra>not gold</span>" in html
    assert "0.600, no affirmed evidence" in html
    assert "<b>R05</b>  <span class=missed>missed</span> <span class=quiet>0.100</span>" in html
    assert "<b>I50.9</b>  <span class=right>right</span>" in html


def test_words_of_two_codes_belong_to_both() -> None:
    spans = {
        "I50_9": (EvidenceSpan(HEART, HEART + 13, 1.0),),
        "R05": (EvidenceSpan(HEART + 6, HEART + 13, 1.0),),
    }
    html = documents_html([document(**spans)], {})
    assert '<mark data-codes="I50.9">heart </mark>' in html
    assert '<mark data-codes="I50.9 R05">failure</mark>' in html


def test_the_mark_names_the_note_of_an_encounter():
    span = EvidenceSpan(FEVER, FEVER + 5, 1.0, "affirmed", NotePlace('n"1', 0, 5))
    assert 'title="n&quot;1">' in documents_html([document(R50_9=(span,))], {})
    assert "title=" not in documents_html([document(R50_9=(span._replace(place=None),))], {})
