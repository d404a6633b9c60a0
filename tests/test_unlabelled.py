"""Draws for items whose answer nobody knows: read as in training and evaluation, retried as there."""

import pytest

from lettered import task as lettered
from rationem import JudgeTask, Scale, ScriptedEngine
from rationem.sampling.trials import grade
from rationem.sampling.unlabelled import draw
from rationem.types import Draft, Example, Finish, Outcome, Parsed, Prompt, Sampling

LETTERS = lettered(4)
RATING = JudgeTask(Scale.parse("1-3"))
TWO_CHOICES = {"prompt": "q", "choice_a": "x", "choice_b": "y"}


class Given(ScriptedEngine):
    """Returns one draft."""

    def __init__(self, draft):
        super().__init__(lambda _: draft.text)
        self.draft = draft

    def sample(self, requests):
        return [self.draft for _ in requests]


def drawn(engine, task, fields, **more):
    asked = {Prompt("p"): fields}
    settings = {"seed": 0, "sampling": Sampling(), "retries": 0, "scores": True, **more}
    return draw(asked, 1, engine, task, **settings)[Prompt("p")]


@pytest.mark.parametrize("finish", list(Finish))
@pytest.mark.parametrize(
    ("task", "fields", "answer", "text"),
    [
        *((RATING, {}, "2", f"z\nFinal rating: {said}") for said in ("2", "3", "9", "")),
        (RATING, {}, "2", "z"),
        *((LETTERS, TWO_CHOICES, "B", f"z\n{LETTERS.marker} {said}") for said in "BCZ"),
    ],
)
def test_a_draft_is_read_as_in_training_and_evaluation(finish, task, fields, answer, text):
    draft = Draft(text, (1,), finish, 1)
    _, outcome, _ = grade(draft, Example("x", fields, answer, "g"), task, 1.0)
    found = drawn(Given(draft), task, fields)
    has_answer = outcome in (Outcome.ACCEPTED, Outcome.WRONG)
    assert len(found) == (outcome is not Outcome.ENGINE_FAILED)
    assert [one.said is not None for one in found] == [has_answer for _ in found]
    assert [one.level_logps is not None for one in found] == [has_answer for _ in found]


def test_an_answer_without_a_marker_is_not_scored_as_if_it_had_no_rationale():
    class Loose(JudgeTask):
        def parse(self, text):
            return Parsed(text, "2")

    (found,) = drawn(Given(Draft("two", (1,), Finish.STOP, 1)), Loose(Scale.parse("1-3")), {})
    assert (found.said, found.level_logps) == ("2", None)


def test_a_failed_draft_is_drawn_again_with_the_same_seed_and_no_more_often_than_allowed():
    seeds = []

    def fails_twice(request):
        seeds.append(request.seed)
        return "z\nFinal rating: 1" if len(seeds) > 2 else None

    (found,) = drawn(ScriptedEngine(fails_twice), RATING, {}, retries=2)
    assert (found.said, len(seeds), len(set(seeds))) == ("1", 3, 1)
    seeds.clear()
    assert drawn(ScriptedEngine(lambda request: seeds.append(request.seed)), RATING, {}, retries=1) == []
    assert len(seeds) == 2
