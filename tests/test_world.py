"""The embedded world: what the texts say is what the ratings count, and the base model speaks the format."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rationem.seeds import generator
from rationem.world import DEFAULT_HUMAN, SCALE, TASK, Human, examples, faithful, human, micro_model
from rationem.world.batches import mask, rows
from rationem.world.corpus import Answer, GradedPrompt, filler, graded
from rationem.world.questions import findings, question, read, words
from rationem.world.rubrics import RUBRICS, rating, rationale
from rationem.world.tokens import END, PAD, START, tokenizer, turn

MAIL = "topic mail. ask 3 + 1"


def asked(response: str) -> dict[str, str]:
    return {"prompt": MAIL, "response": response}


@pytest.mark.slow
def test_importing_the_world_imports_no_torch():
    code = "import sys, rationem.world; print([m for m in ('torch', 'transformers', 'tokenizers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_there_are_31_rubrics_of_total_4():
    assert len(set(RUBRICS)) == 31
    assert all(sum(rubric) == 4 and max(rubric) <= 3 for rubric in RUBRICS)


@pytest.mark.parametrize(
    ("response", "rubric", "expected"),
    [
        ("duh 3 + 1 = 2 see oak", (0, 2, 1, 1), "4"),  # wrong, example 2, rude, brief 1
        ("thanks 3 + 1 = 4 anyway salt pen", (3, 0, 1, 0), "5"),  # right 3, none, polite 1, long
        ("ugh 3 + 1 = 5 besides hat cow", (1, 1, 1, 1), "1"),  # nothing holds
    ],
)
def test_a_rating_is_one_plus_the_weighted_sum(response, rubric, expected):
    found = read(asked(response))
    assert found is not None
    assert str(rating(found.features, rubric)) == expected
    assert rationale(found, rubric).endswith(f"= {expected}")


def test_examples_are_a_function_of_seed_and_index():
    assert examples(20, 7)[5:15] == examples(10, 7, start=5)
    assert examples(5, 7) != examples(5, 8)
    assert examples(18, 0)[17].id == examples(18, 0)[17].group == "world-000017"


@pytest.mark.slow
def test_the_texts_of_disjoint_ranges_are_disjoint():
    train, test = examples(3000, 0), examples(1000, 0, start=3000)
    texts = [{(e.fields["prompt"], e.fields["response"]) for e in part} for part in (train, test)]
    assert len(texts[0]) == 3000
    assert len(texts[1]) == 1000
    assert not texts[0] & texts[1]


def test_features_are_read_back_from_the_text():
    for index in range(300):
        drawn = question(generator(1, "test", index))
        assert read(drawn.fields) == drawn


def test_answers_are_the_humans_ratings():
    for example in examples(200, 3):
        found = read(example.fields)
        assert found is not None
        assert example.answer == str(rating(found.features, DEFAULT_HUMAN.rubric(found.topic)))
    everything = Human(((1, 1, 1, 1),))
    assert {e.answer for e in examples(400, 3, human=everything)} == set(SCALE.levels)


def test_noise_changes_about_its_share_of_answers_and_no_text():
    clean, noisy = examples(1000, 0), examples(1000, 0, noise=0.3)
    assert [e.fields for e in clean] == [e.fields for e in noisy]
    changed = sum(a.answer != b.answer for a, b in zip(clean, noisy, strict=True))
    assert 250 < changed < 350


def test_other_humans_are_deterministic_and_differ():
    assert human(1) == human(1) != human(2)
    assert len(set(human(1, rubrics=4).rubrics)) == 4


def test_faithful_compares_findings_with_the_text():
    fields = asked("duh 3 + 1 = 2 see oak")
    assert findings(read(fields)) == "mail 4 said 2 wrong given rude brief"
    assert faithful(fields, "mail 4 said 2 wrong given rude brief; tone 1 = 1") is True
    assert faithful(fields, "mail 4 said 2 right given rude brief; accuracy 3 = 4") is False
    assert faithful(fields, "mail 4 said 4 wrong given rude brief; tone 1 = 1") is False
    assert faithful(fields, "no findings here") is None
    assert faithful({"prompt": "x", "response": "y"}, "wrong given rude brief") is None


def test_the_corpus_speaks_the_tasks_format():
    rng = generator(0, "test")
    for _ in range(200):
        text = graded(rng, 1)
        parsed = TASK.parse(text.answers[0].completion)
        assert parsed.answer == parsed.rationale.rsplit(" ", 1)[1]
        assert text.rest.endswith("Final rating: LEVEL")
        assert text.answers[0].hint in ("", f"\nThe correct rating is {parsed.answer}. Explain why.")


def test_words_are_many_and_plain():
    assert 1500 <= len(words()) == len(set(words())) <= 2500


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_the_tokenizer_gives_any_text_back(text):
    coder = tokenizer_once()
    assert coder.decode(coder.encode(text, add_special_tokens=False)) == text


@pytest.mark.slow
@pytest.mark.parametrize("token", [PAD, START, END])
def test_control_tokens_are_single_ids(token):
    assert len(tokenizer_once().encode(token)) == 1


@pytest.mark.slow
def test_the_template_is_what_the_corpus_was_made_with():
    coder = tokenizer_once()
    assert coder.pad_token_id != coder.eos_token_id == coder.convert_tokens_to_ids(END)
    messages = [{"role": "user", "content": "Prompt: a\n\nResponse: b"}]
    shown = coder.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert shown == turn(messages[0]["content"])


def test_a_prompt_of_the_world_is_short():
    coder = tokenizer_once()
    for example in examples(200, 0):
        assert len(coder.encode(turn(TASK.prompt(example.fields).text))) <= 75
        assert len(coder.encode(turn(TASK.hint_prompt(example.fields, example.answer).text))) <= 85


def test_a_row_holds_each_conversation_as_it_will_be_asked():
    coder = tokenizer_once()
    answers = Answer("", "right\nFinal rating: 5"), Answer("\nThe hint.", "wrong\nFinal rating: 1")
    (row,) = rows(
        coder.backend_tokenizer, [GradedPrompt("Prompt:", " ask 3", "\n\nRate it.", answers)], 0.25, 0.0, (1.0, 1.0)
    )
    for number, answer in enumerate(answers, start=1):
        mine = [i for i, owner in enumerate(row.answer) if owner in (0, number)]
        prompt = turn("Prompt: ask 3\n\nRate it." + answer.hint)
        assert [row.ids[i] for i in mine] == coder.encode(prompt + answer.completion + END)
        assert [row.positions[i] for i in mine] == list(range(len(mine)))
        trained = [row.ids[i] for i in mine if row.weights[i] == 1]
        assert coder.decode(trained) == answer.completion + END
    read_tokens = [i for i, weight in zip(row.ids, row.weights, strict=True) if weight == 0.25]
    assert coder.decode(read_tokens) == " ask 3"


def test_answers_do_not_see_each_other():
    import torch

    seen = (mask(torch.tensor([[0, 0, 1, 1, 2, -1]]))[0, 0] == 0).int().tolist()
    assert seen[3] == [1, 1, 1, 1, 0, 0]
    assert seen[4] == [1, 1, 0, 0, 1, 0]


@pytest.mark.parametrize("kind", ["graded", "filler"])
def test_the_corpus_is_cut_where_its_tokens_end(kind):
    rng, coder = generator(0, "test", kind), tokenizer_once()
    for _ in range(100):
        text = graded(rng, 1) if kind == "graded" else filler(rng, 5, 30, 1)
        (row,) = rows(coder.backend_tokenizer, [text], 1.0, 0.3, (1.0, 1.0))
        asked = turn(text.opening + text.read + text.rest + text.answers[0].hint)
        assert row.ids == coder.encode(asked + text.answers[0].completion + END)


_KEPT = []


def tokenizer_once():
    if not _KEPT:
        _KEPT.append(tokenizer())
    return _KEPT[0]


@pytest.mark.slow
def test_a_micro_model_loads_and_is_a_function_of_its_seed(tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    paths = [micro_model(tmp_path / str(i), seed=seed, steps=2) for i, seed in enumerate((0, 0, 1))]
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads
    first, again, other = (AutoModelForCausalLM.from_pretrained(path).model.embed_tokens.weight for path in paths)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert AutoTokenizer.from_pretrained(paths[0]).chat_template
