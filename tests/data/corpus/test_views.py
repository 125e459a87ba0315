import numpy as np
import pytest

from icdcli.config.loading import load_config
from icdcli.data.corpus.folds import HeldOutFold, fold_of
from icdcli.data.corpus.label_spaces import (
    WITH_UNSEEN,
    add_outside,
    add_unseen,
    missed_columns,
    outside_codes,
    space_of,
    unseen_labels,
)
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import Labels, open_corpus
from icdcli.data.corpus.views import corpus_of
from icdcli.errors import ConfigError
from icdcli.icd.code_system import open_code_system


@pytest.fixture
def opened(config, tmp_path):
    """Opens the corpus of the notes as a view."""

    def make(**changes):
        data = config(cache_dir=tmp_path / "cache", **changes).data
        return corpus_of(prepare(data).folder, data)

    return make


def rows(corpus, *splits):
    return {row for split in splits for row in corpus.documents(split).rows.tolist()}


def test_folds_are_those_of_patients_and_nearly_equal():
    ids = [str(number) for number in range(100)]
    subjects = [f"patient {number // 3}" for number in range(99)] + [None]
    folds_N = fold_of(ids, subjects, 5)
    for subject in set(subjects[:-1]):
        assert (
            len({fold for fold, own in zip(folds_N, subjects, strict=True) if own == subject}) == 1
        )
    assert np.bincount(folds_N).tolist() == pytest.approx([20] * 5, abs=2)


def test_folds_depend_on_neither_order_nor_the_run():
    ids = [f"note {number}" for number in range(50)]
    folds_N = fold_of(ids, [None] * 50, 4)
    backwards_N = fold_of(ids[::-1], [None] * 50, 4)
    assert (folds_N == backwards_N[::-1]).all()
    assert (folds_N != fold_of(ids, [None] * 50, 4, seed=1)).any()
    # A recorded example: another version must not hold out other documents of a run.
    assert fold_of(list("abcdef"), [None] * 6, 3).tolist() == [1, 2, 0, 2, 1, 0]


@pytest.mark.parametrize(("folds", "message"), [(1, "at least 2"), (4, "too few for 4 folds")])
def test_numbers_of_folds_that_are_impossible_are_refused(folds, message):
    with pytest.raises(ConfigError, match=message):
        fold_of(["a", "b", "c", "d"], ["p", "p", "q", "r"], folds)


def test_without_the_keys_it_is_the_corpus(opened):
    assert type(opened()) is type(open_corpus(opened().folder))


def test_both_splits_are_trained_on(opened):
    whole, both = opened(), opened(train_on="train+validation")
    assert both.splits == [split for split in whole.splits if split != "validation"]
    assert rows(both, "train") == rows(whole, "train", "validation")
    assert both.card["splits"]["train"]["documents"] == len(both.documents("train"))
    texts = dict(zip(whole.documents("train").ids, whole.texts("train"), strict=True))
    texts |= dict(zip(whole.documents("validation").ids, whole.texts("validation"), strict=True))
    assert list(both.texts("train")) == [texts[own] for own in both.documents("train").ids]
    gold = both.documents("train").targets_NL(len(both.labels))
    assert gold.sum(axis=0).tolist() == list(both.labels.train_counts)
    assert both.labels.codes == whole.labels.codes
    assert both.folder == whole.folder
    assert both.name != whole.name
    with pytest.raises(ConfigError, match="the model was trained on validation"):
        both.documents("validation")


@pytest.mark.parametrize("train_on", ["train", "train+validation"])
def test_every_document_is_held_out_once_and_patients_are_in_one_fold(opened, train_on):
    whole, seen = opened(), []
    splits = train_on.split("+")
    for fold in range(1, 4):
        view = opened(train_on=train_on, held_out_fold=f"{fold}/3")
        held, trained = view.documents("validation"), view.documents("train")
        assert not set(held.subject_ids) & set(trained.subject_ids)
        assert rows(view, "train", "validation") == rows(whole, *splits)
        seen += held.rows.tolist()
    assert sorted(seen) == sorted(rows(whole, *splits))


def test_a_fold_has_the_codes_of_its_training_documents_only(tmp_path):
    path = tmp_path / "notes.csv"
    lines = [f"n{n},note {n},train,I10;{'J18.9' if n == 3 else 'E11.9'}" for n in range(8)]
    lines += ["v,another note,validation,N17.9;I10"]
    path.write_text("\n".join(["id,text,split,codes", *lines]) + "\n")

    def view(fold):
        keys = [f"data_path={path}", "code_system=icd10", f"held_out_fold={fold}/4"]
        data = load_config(None, [*keys, "train_on=train+validation"]).data
        return corpus_of(prepare(data).folder, data)

    rare = [view(fold) for fold in range(1, 5)]
    without = [each for each in rare if "n3" in each.documents("validation").ids]
    assert len(without) == 1
    for each in rare:
        assert ("J18.9" in each.labels.codes) == (each is not without[0])
        assert all(each.labels.train_counts)
        gold = each.documents("train").targets_NL(len(each.labels))
        assert gold.sum(axis=0).tolist() == list(each.labels.train_counts)
    [view_without] = without
    documents = view_without.documents("validation")
    targets = documents.targets[documents.ids.index("n3")]
    assert [view_without.labels.codes[label] for label in targets] == ["I10"]
    assert documents.outside[documents.ids.index("n3")] == ("J18.9",)
    assert view_without.card["labels"]["space"] == "train"


@pytest.fixture
def few_notes(tmp_path):
    """Opens a corpus of four notes, of which the later ones have new codes."""
    path = tmp_path / "notes.csv"
    rows = ["a,train,I10;E11.9", "b,train,I10", "c,validation,I10;N17.9;J18.9", "d,test,J18.9"]
    lines = [f"{row.split(',')[0]},a note,{row.split(',', 1)[1]}" for row in rows]
    path.write_text("\n".join(["id,text,split,codes", *lines]) + "\n")

    def make(space):
        keys = [f"data_path={path}", "code_system=icd10", f"label_space={space}"]
        data = load_config(None, keys).data
        return corpus_of(prepare(data).folder, data)

    return make


def test_the_label_space_of_training_lacks_the_codes_of_other_splits(few_notes):
    seen, train = few_notes("seen"), few_notes("train")
    assert seen.labels.codes == ("E11.9", "I10", "J18.9", "N17.9")
    assert train.labels.codes == ("E11.9", "I10")
    assert train.labels.train_counts == (1, 2)
    assert train.splits == seen.splits
    assert (space_of(seen), space_of(train)) == ("seen", "train")
    assert train.folder == seen.folder
    assert train.name != seen.name
    counts = train.card["labels"]
    assert (counts["count"], counts["in_use"], counts["in_training"]) == (2, 2, 2)

    documents = train.documents("validation")
    assert [train.labels.codes[label] for label in documents.targets[0]] == ["I10"]
    assert documents.outside == [("J18.9", "N17.9")]
    assert outside_codes(documents) == ["J18.9", "N17.9"]
    assert missed_columns(documents).tolist() == [[True, True]]
    assert documents.take([0]).outside == documents.outside
    assert train.documents("train").outside == []
    assert missed_columns(train.documents("train")).shape == (2, 0)
    assert list(train.texts("test")) == list(seen.texts("test"))


def test_categories_have_all_codes_that_can_be_assigned(few_notes):
    train, corpus = few_notes("train"), few_notes("categories")
    known = len(corpus.labels) - unseen_labels(corpus)
    assert corpus.labels.codes[:known] == train.labels.codes
    unseen = corpus.labels.codes[known:]
    assert list(unseen) == sorted(unseen)
    system = corpus.code_system
    expected = {
        code for code, *_ in system.described_codes(["diagnosis"]) if code.startswith("E11.")
    }
    assert set(unseen) == expected - {"E11.9"}
    label = corpus.labels.index["E11.65"]
    assert corpus.labels.titles[label] == "Type 2 diabetes mellitus with hyperglycemia"
    assert not any(corpus.labels.train_counts[known:])
    assert space_of(corpus) == "categories"
    assert corpus.documents("validation").outside == [("J18.9", "N17.9")]
    assert corpus.kept_labels.tolist() == [0, 1]


def test_categories_leave_out_seventh_characters_if_the_data_do():
    system = open_code_system("icd10")

    def unseen(*codes):
        count = len(codes)
        labels = Labels(codes, ("diagnosis",) * count, (None,) * count, (1,) * count, (1,) * count)
        return add_unseen(labels, labels, system, "categories").codes[count:]

    assert "S42.302A" in unseen("S42.301A", "S42.302B", "I10")
    without = unseen("S42.301", "I10")
    assert "S42.302" in without
    assert not [code for code in without if len(code) == 8]
    assert "S42.301" not in without


@pytest.mark.parametrize("space", WITH_UNSEEN)
def test_unseen_codes_need_the_coding_system(few_notes, tmp_path, space):
    keys = [f"data_path={tmp_path / 'notes.csv'}", f"label_space={space}"]
    data = load_config(None, keys).data
    with pytest.raises(ConfigError, match=f"label_space: {space} needs the coding system"):
        corpus_of(prepare(data).folder, data)


def test_assignable_has_all_diagnoses(few_notes):
    train, corpus = few_notes("train"), few_notes("assignable")
    known = len(corpus.labels) - unseen_labels(corpus)
    assert corpus.labels.codes[:known] == train.labels.codes
    system = corpus.code_system
    diagnoses = {code for code, *_ in system.described_codes(["diagnosis"])}
    assert set(corpus.labels.codes) == diagnoses | set(train.labels.codes)
    assert list(corpus.labels.codes[known:]) == sorted(diagnoses - set(train.labels.codes))
    assert set(corpus.labels.kinds[known:]) == {"diagnosis"}
    assert not any(corpus.labels.train_counts[known:])
    assert space_of(corpus) == "assignable"
    assert corpus.documents("validation").outside == []


def test_procedures_alone_get_no_diagnoses():
    labels = Labels(("02HV33Z",), ("procedure",), (None,), (1,), (1,))
    for space in WITH_UNSEEN:
        assert add_unseen(labels, labels, open_code_system("icd10"), space).codes == labels.codes


def test_gold_codes_outside_are_described_as_labels_are(few_notes):
    seen, train = few_notes("seen"), few_notes("train")
    whole = add_outside(train.labels, train.documents("test"), train.code_system)
    assert whole.codes == ("E11.9", "I10", "J18.9")
    label = seen.labels.index["J18.9"]
    assert (whole.titles[-1], whole.kinds[-1]) == (seen.labels.titles[label], "diagnosis")
    assert (whole.counts[-1], whole.train_counts[-1]) == (1, 0)


def test_a_wrong_fold_is_refused(config):
    for wrong in ("0/5", "6/5", "1/1", "half"):
        with pytest.raises(ConfigError, match="held_out_fold"):
            config(held_out_fold=wrong)


def test_a_held_out_fold_is_read_as_it_is_written():
    assert HeldOutFold.of(str(HeldOutFold(2, 5))) == (2, 5)
