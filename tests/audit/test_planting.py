"""Planting errors in labels."""

import numpy as np

from icdcli.audit.documents import AuditDocument
from icdcli.audit.planting import PlantedErrors, plant_errors
from icdcli.data.corpus.annotations import AnnotatedFragment

CATEGORIES = ["J18", "J18", "I10", "E11", "N17"]


def documents() -> list[AuditDocument]:
    draw = np.random.default_rng(0)
    found = []
    for number in range(100):
        labels = frozenset(np.flatnonzero(draw.random(5) < 0.4).tolist())
        marked = tuple(AnnotatedFragment(label, label, label + 1, label) for label in labels)
        found.append(AuditDocument(str(number), None, "train", "abcdef", labels, marked))
    return found


def planted(seed: int = 0) -> PlantedErrors:
    return plant_errors(documents(), CATEGORIES, 0.3, seed)


def test_as_many_codes_are_changed_as_wanted() -> None:
    errors, given = planted(), documents()
    codes = sum(len(document.labels) for document in given)
    changes = len(errors.removed) + len(errors.swapped) + len(errors.added)
    assert changes == round(0.3 * codes)
    assert min(map(len, (errors.removed, errors.swapped, errors.added))) > 0


def test_labels_are_those_given_with_the_errors() -> None:
    errors, given = planted(), documents()
    for row, (document, labels) in enumerate(zip(given, errors.labels, strict=True)):
        missing = {label for place, label in errors.missing if place == row}
        wrong = {label for place, label in errors.wrong if place == row}
        assert document.labels - labels == missing
        assert labels - document.labels == wrong


def test_a_swap_is_for_another_code_of_the_category_if_there_is_one() -> None:
    errors, given = planted(), documents()
    siblings = [(row, wrong, right) for (row, wrong), right in errors.swapped.items() if right < 2]
    assert siblings
    for row, wrong, right in siblings:
        if 1 - right not in given[row].labels:
            assert wrong == 1 - right


def test_annotations_follow_the_codes() -> None:
    errors, given = planted(), documents()
    for row, fragments in enumerate(errors.annotations):
        places = {one.begin: one.label for one in fragments}
        for label in given[row].labels:
            if (row, label) in errors.removed:
                assert label not in places
            else:
                now = next(
                    (w for (r, w), right in errors.swapped.items() if (r, right) == (row, label)),
                    label,
                )
                assert places[label] == now
        assert not {label for place, label in errors.added if place == row} & set(places.values())


def test_the_seed_decides() -> None:
    assert planted(1) == planted(1)
    assert planted(1) != planted(2)
