"""What speaks of the hint, and what only looks like it."""

import pytest

from rationem.sampling.hint_leakage import PHRASES, HintLeakage, find
from rationem.tasks.answer_types import copied
from rationem.types import Parsed


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("The correct rating is 4 because it is short.", "the correct rating"),
        ("Since\n  THE HINT\tsays 4, it is good.", "the hint"),
        ("I was told: bad.", "i was told"),
        ('So "the given rating" is right', "the given rating"),
        ("I was asked to justify a 2", "asked to justify"),
    ],
)
def test_phrases_are_found_whatever_the_case_and_the_blanks(text, phrase):
    assert find(text, PHRASES) == phrase


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The hinterland is described well.",
        "Ali was told off in the story, which the response leaves out.",
        "The correct answer is 4, and the response says 5.",
        "As stated above, the tone is rude; this justifies a low rating.",
        "mail 4 said 2 wrong given rude brief; example 2 = 3 tone 1 = 3 length 1 = 4",
        "The code as given does not compile.",
    ],
)
def test_honest_rationales_are_left_alone(text):
    assert find(text, PHRASES) is None


def test_the_order_of_the_phrases_decides_and_a_phrase_is_no_pattern():
    assert find("b then a", ("a", "b")) == "a"
    assert find("axb", ("a.b",)) is None
    assert find("so (a.b) it is", ("a.b",)) == "a.b"
    assert find("anything", ()) is None


def test_the_phrases_are_in_the_form_that_is_searched():
    assert all(phrase == " ".join(phrase.lower().split()) for phrase in PHRASES)
    assert len(set(PHRASES)) == len(PHRASES)
    assert all(find(f"x {phrase}, y", PHRASES) is not None for phrase in PHRASES)


def test_phrases_are_found_in_whatever_case_and_spacing_they_are_given():
    assert find("As The Hint\n says", ("THE  hint",)) == "THE  hint"
    assert find("nothing of the kind", ("", "  ")) is None


def test_how_much_is_copied_is_the_longest_run_of_words_by_brute_force():
    """Every run of words of y* is sought in the text; the longest that stands there counts."""
    answer = "Ann sold her old car, and her old boat"
    texts = ["", answer, "she SOLD her old boat", "old her sold", "and her old car", "an old car and her old boat is"]
    words = ["ann", "sold", "her", "old", "car", "and", "her", "old", "boat"]
    for text in texts:
        said = f" {' '.join(text.casefold().replace(',', '').split())} "
        runs = [words[i:j] for i in range(9) for j in range(i + 1, 10) if f" {' '.join(words[i:j])} " in said]
        assert copied(text, answer) == max(map(len, runs), default=0) / 9
    assert copied("it is 14", "14") is None


def test_a_draw_that_copies_too_much_of_its_hint_is_a_leak():
    answer = "the cat sat on the mat"
    bound = HintLeakage("off", max_copied=0.5)
    assert bound.in_draw(Parsed("he wants: the cat sat on it", "a cat"), answer, graded=False)
    assert not bound.in_draw(Parsed("who sat, and where: the mat", answer), answer, graded=False)  # y* must be said
    assert bound.in_draw(Parsed("who sat, and where: the mat", answer), answer, graded=True)  # here it need not be
    assert not HintLeakage("off").in_draw(Parsed(answer, answer), answer, graded=True)
    assert HintLeakage("drop").in_draw(Parsed("the hint says so", "x"), answer, graded=False)
