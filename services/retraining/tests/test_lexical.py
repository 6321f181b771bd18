from gyre_retraining.recipes.reader.held_out import Overlap
from gyre_retraining.recipes.reader.lexical import Rarity, bm25_scores, coverage, overlap_scores
from gyre_retraining.recipes.reader.text import clauses, sentences, stem

SENTENCES = ["The library opens at nine.", "Cats may not enter the library.", "Fines are small."]
RARITY = Rarity.of(SENTENCES)


def test_abbreviations_do_not_end_a_sentence() -> None:
    assert sentences("Dr. Lee came. He left.\nThen rain fell.") == [
        "Dr. Lee came.",
        "He left.",
        "Then rain fell.",
    ]


def test_a_long_sentence_is_cut_into_parts_that_hold_all_its_words() -> None:
    long = "one two three, four five six; seven eight nine ten"
    parts = clauses(long, 20)
    assert all(len(part) <= 20 for part in parts)
    assert " ".join(parts) == long


def test_near_forms_share_a_stem() -> None:
    assert {stem("opening"), stem("opened"), stem("Opens")} == {"open"}


def test_both_pickers_choose_the_sentence_that_shares_rare_words() -> None:
    for scorer in (overlap_scores, bm25_scores):
        scores = scorer(RARITY, "May cats come in?", SENTENCES)
        assert scores.index(max(scores)) == 1


def test_coverage_is_one_for_a_repeated_sentence_and_zero_for_strange_words() -> None:
    assert coverage(RARITY, "Fines are small", SENTENCES) == 1.0
    assert coverage(RARITY, "Zebras dance", SENTENCES) == 0.0


def test_eight_shared_words_in_a_row_count_as_overlap() -> None:
    guard = Overlap(["The quick brown fox jumps over the lazy dog today"])
    assert guard.touches("Once the quick brown fox jumps over the lazy cat")
    assert not guard.touches("The quick brown fox sleeps beside the lazy dog today")
