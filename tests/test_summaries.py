"""The summary world: what readers keep follows from who they are, and nothing but the truth is called faithful."""

import json
from itertools import permutations

import pytest

from rationem.config import FitConfig
from rationem.run.launch import start
from rationem.seeds import generator
from rationem.tasks.answer_types import copied
from rationem.tasks.pairs import every_order
from rationem.world import summaries
from rationem.world.summaries import PREFER, WRITE, Audience, Reader, posts, readers
from rationem.world.summaries.corpus import COMPARED, COPIED, HINTED, texts

SOME = 300


@pytest.fixture(scope="module")
def drawn():
    rng = generator(0, "test", "summaries")
    return [posts.post(rng) for _ in range(SOME)]


@pytest.fixture(scope="module")
def write():
    return summaries.examples(SOME, 0)


@pytest.fixture(scope="module")
def prefer():
    return summaries.examples(SOME, 0, task="judge")


def reader_of(example):
    said = posts.read(example.fields["prompt"])
    return said, summaries.DEFAULT_AUDIENCE.reader(said.topic)


def test_a_post_is_read_back_from_its_text(drawn):
    for said in drawn:
        assert posts.read(said.text) == said
        assert list(posts.read(said.text).facts) == list(said.facts)  # in its order
        assert len(said.facts) == posts.STATED
        assert len(said.unstated) == len(posts.KINDS) - posts.STATED
    assert posts.read("trip. well met ann.") is None
    assert posts.read("a question of another world") is None
    assert len({said.text for said in drawn}) == SOME


def test_a_summary_keeps_the_order_of_the_post_in_fixed_wording(drawn):
    for said in drawn:
        for kinds in permutations(said.facts, 2):
            text = posts.summary(said, kinds)
            assert posts.kept(text) == said.stated(kinds)
            assert all(said.facts[kind] in text.split() for kind in kinds)
            assert text == posts.summary(said, kinds[::-1])


def test_the_reference_states_the_two_most_important_of_the_stated_facts(write):
    gists = set()
    for x in write:
        said, reader = reader_of(x)
        stated = [kind for kind in reader.kinds if kind in said.facts]
        assert set(posts.kept(x.answer)) == set(stated[:2])
        assert len(posts.kept(x.answer)) == 2
        gists.add((reader, frozenset(posts.kept(x.answer))))
    assert len(gists) == 6  # each of two readers does without each of three kinds somewhere


def test_every_reader_finds_a_gist_in_every_post(drawn):
    assert len(readers.READERS) == 6 * 5 * 4
    for said in drawn[:20]:
        for reader in readers.READERS:
            gist = reader.gist(said)
            assert len(gist) == 2
            assert sorted(gist, key=reader.kinds.index) == list(gist)


def test_who_reads_a_post_depends_on_its_topic_alone(write):
    one, other = Reader(("who", "time", "place")), Reader(("place", "who", "cost"))
    again = summaries.examples(SOME, 0, audience=Audience((one, other)))
    assert [x.fields for x in again] == [x.fields for x in write]
    for x in again:
        said = posts.read(x.fields["prompt"])
        reader = one if posts.TOPICS.index(said.topic) % 2 == 0 else other
        assert x.answer == posts.summary(said, reader.gist(said))
    assert summaries.audience(1) != summaries.audience(2)
    assert len(set(summaries.audience(1).readers)) == 2


def test_the_preferred_candidate_covers_more_of_what_matters(prefer):
    chosen = []
    for x in prefer:
        said, reader = reader_of(x)
        a, b = (reader.worth(said, posts.kept(x.fields[name])) for name in ("response_a", "response_b"))
        assert a != b
        assert x.answer == ("A" if a > b else "B")
        assert not set(posts.kept(x.fields["response_a"])) & set(posts.kept(x.fields["response_b"]))
        first, second = reader.gist(said)
        best = posts.kept(x.fields["response_a" if a > b else "response_b"])
        assert first in best or second in best
        chosen.append(x.answer)
    assert 0.4 < chosen.count("A") / SOME < 0.6


def test_both_orders_mirror_each_other(prefer):
    for x, turned in zip(*[iter(every_order(prefer, PREFER.scale))] * 2, strict=True):
        assert turned.fields["response_a"] == x.fields["response_b"]
        assert turned.fields["response_b"] == x.fields["response_a"]
        assert {x.answer, turned.answer} == {"A", "B"}
        assert turned.group == x.group


def test_examples_are_the_same_whatever_range_asks(write, prefer):
    for task, all_ in (("summarize", write), ("judge", prefer)):
        assert summaries.examples(10, 0, start=50, task=task) == all_[50:60]
        assert summaries.examples(10, 1, task=task) != all_[:10]
    assert [x.fields["prompt"] for x in write] == [x.fields["prompt"] for x in prefer]


def test_no_prompt_holds_the_answer(write, prefer):
    for x in write:
        assert x.answer not in WRITE.prompt({**x.fields}).text.replace(x.fields["prompt"], "")
        assert x.answer in WRITE.hint_prompt(x.fields, x.answer).text
    for x in prefer:
        shown = PREFER.prompt(x.fields).text
        assert shown == PREFER.prompt({**x.fields}).text
        assert PREFER.hint_prompt(x.fields, x.answer).text == f"{shown}\npeople liked: {x.answer}"


def test_the_reward_of_the_reference_is_one_and_of_one_fact_a_half(write):
    for x in write:
        said, reader = reader_of(x)
        first, second = reader.gist(said)
        assert WRITE.reward(x.answer, x.answer) == 1
        others = [kind for kind in said.facts if kind not in (first, second)]
        half = WRITE.reward(posts.summary(said, (first, others[0])), x.answer)
        assert 0.25 < half < 0.75
        assert WRITE.reward(posts.summary(said, others[:2]), x.answer) < 0.5


def test_true_rationales_are_faithful_and_false_ones_not(write, prefer):
    for x in write:
        said, reader = reader_of(x)
        why = readers.written(said, reader)
        assert summaries.faithful(x.fields, why) is True
        assert WRITE.parse(WRITE.format(why, x.answer)).answer == x.answer
        wrong = why.replace(next(iter(said.facts)), said.unstated[0])
        assert summaries.faithful(x.fields, wrong) is False
        assert summaries.faithful(x.fields, why.rsplit(" ", 1)[0]) is False  # one fact is left out
        assert summaries.faithful(x.fields, x.answer) is None  # a copy claims nothing
    for x in prefer:
        said, reader = reader_of(x)
        one, other = (posts.kept(x.fields[name]) for name in ("response_a", "response_b"))
        why = readers.compared(said, reader, one, other)
        assert summaries.faithful(x.fields, why) is True
        assert PREFER.parse(PREFER.format(why, x.answer)).answer == x.answer
        assert summaries.faithful(x.fields, why.replace(one[0], said.unstated[0], 1)) is False
        last = why.rpartition(" ")[2]
        assert summaries.faithful(x.fields, why.removesuffix(last) + ("A" if last == "B" else "B")) is False
        assert summaries.faithful(x.fields, f"I like {x.answer}") is None
    assert summaries.faithful({"prompt": "of another world"}, "trip keep cost; drop time") is None


@pytest.mark.slow
def test_the_corpus_knows_no_reader_and_shows_both_formats():
    """What a random reader keeps says nothing of the topic: the base model cannot know who reads what."""
    source = texts(0)
    drawn = [next(source) for _ in range(4000)]
    asked = [one for one in drawn if "Summarize." in one.prompt]
    assert len(asked) / len(drawn) == pytest.approx(1 - COMPARED, abs=0.03)
    assert sum(bool(one.hint) for one in drawn) / len(drawn) == pytest.approx(HINTED, abs=0.03)
    for topic in posts.TOPICS:
        on = [one for one in asked if one.prompt.startswith(f"{topic}.")]
        keeps = [posts.kept(WRITE.parse(one.completion).answer) for one in on]
        for kind in posts.KINDS:
            assert sum(kind in kinds for kinds in keeps) / len(on) == pytest.approx(1 / 3, abs=0.08)
    copies = [one for one in asked if copied(WRITE.parse(one.completion).rationale, WRITE.parse(one.completion).answer)]
    hinted = [one for one in asked if one.hint]
    assert all(one.hint for one in copies)
    assert len(copies) / len(hinted) == pytest.approx(COPIED, abs=0.03)


@pytest.mark.slow
@pytest.mark.acceptance
def test_star_raises_the_reward_of_summaries_from_answers_alone(tmp_path):
    """Five seeds: from .317 to .349 before, to .676 to .798 after; by .359 or more."""
    config = FitConfig(
        data=("summaries",), scheme="star", iterations=2, steps=40, draws=2, evidence_draws=0,
        wrong_hints=0, difficulty_examples=0, sampling_batch=128, threads=1, device="cpu",
    )  # fmt: skip
    directory = start(config, tmp_path / "run")
    first, *_, last = json.loads((directory / "metrics.json").read_text())["iterations"]
    assert last["test"]["draw_reward"] > first["test"]["draw_reward"] + 0.15
