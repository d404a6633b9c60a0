"""Real model families: what is scored is what would be drawn and trained, prompts are what transformers makes of them.

The tokenizers come from ``make tokenizers``. Every test here looks at the tokenizer itself, beside what the package's
own start-up check says. ``docs/model-families.md`` shows the result.
"""

import datetime
import json
import math
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from families import FAMILIES, tokenizer
from rationem.engines.chat import DATE, Chat, Conversation
from rationem.engines.completion import CompletionReader
from rationem.engines.conformance import faults, reference, turns_fault
from rationem.engines.models import LoadedModel
from rationem.engines.transformers import TransformersEngine
from rationem.tasks.scale import MARKER
from rationem.types import Exchange, Finish, LevelQuery, Prompt
from test_tokens import SCALES

pytestmark = [pytest.mark.slow, pytest.mark.acceptance]

ROOT = Path(__file__).resolve().parents[1]
ASKED = "What is 3 + 4 ?\n\n  Rate <b>it</b>, café & 東京 👍🏽, from 1 to 5."
RATIONALES = ("The tone is kind, but 3 + 4 is not 8.\n", "", "so\n\n", "* kind: yes\n**")
#: A family with its template, and as a base model without one.
KINDS = ("chat", "base")


def chat(family, kind="chat", **conversation):
    """The family's tokenizer is shared: what is changed of it is put back."""
    words = tokenizer(family)
    template = words.chat_template
    try:
        words.chat_template = template if kind == "chat" else None
        return Chat(Conversation(**conversation).carried_by(words))
    finally:
        words.chat_template = template
        Conversation().carried_by(words)


@pytest.fixture
def on_that_day(monkeypatch):
    """transformers' clock, on the day that prompts show."""
    from transformers.utils import chat_template_utils

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.strptime(DATE, "%d %b %Y")

    monkeypatch.setattr(chat_template_utils, "datetime", Clock)


def continuations(scale):
    return tuple(f" {level}" for level in SCALES[scale])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_no_fault_on_any_scale(family, kind):
    one = chat(family, kind)
    for scale in SCALES:
        assert list(faults(one, MARKER, continuations(scale), embeddings=len(one.tokenizer))) == [], scale


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_levels_are_scored_on_the_tokens_of_prompt_and_completion_read_as_one_text(family, kind):
    """The tokenizer itself says what the whole text is; the prompt's own tokens are its beginning."""
    one = chat(family, kind)
    reader, prompt = CompletionReader(one, MARKER), one.encode(Prompt(ASKED))
    text = one.render(one.turns(ASKED), answered=False) if kind == "chat" else f"{ASKED}\n"
    begins = () if kind == "chat" else one.tokens.begins
    for scale in SCALES:
        for rationale in RATIONALES:
            said = [f"{rationale}{MARKER}{level}" for level in continuations(scale)]
            wholes = [(*begins, *one.tokens.ids(text + one.template.lead + each), one.end_of_turn) for each in said]
            assert all(whole[: len(prompt)] == prompt for whole in wholes)
            assert [prompt + one.encode_completion(each) for each in said] == wholes
            for whole in wholes:
                draft = reader.draft(whole[len(prompt) :], Finish.STOP, len(prompt), ())
                upto = draft.text.index(MARKER) + len(MARKER)
                query = LevelQuery(Prompt(ASKED), draft, upto, continuations(scale))
                before, tails = reader.rationale_and_tails(query)
                assert [prompt + before + tail for tail in tails] == wholes


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_are_what_the_chat_template_makes(family, on_that_day):
    words, one = tokenizer(family), chat(family)
    turns = [{"role": "user", "content": ASKED}]
    expected = words.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert list(one.encode(Prompt(ASKED))) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_demonstrations_are_the_earlier_turns_that_the_chat_template_makes(family, on_that_day):
    words, one = tokenizer(family), chat(family)
    said = "Kind.\nFinal rating: 4"
    roles = ("user", "assistant", "user", "assistant", "user")
    turns = [{"role": role, "content": said if role == "assistant" else ASKED} for role in roles]
    expected = words.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert list(one.encode(Prompt(ASKED, earlier=(Exchange(ASKED, said),) * 2))) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_can_be_shown_demonstrations(family, kind):
    one = chat(family, kind)
    assert turns_fault(one) is None
    prompt = Prompt(ASKED, earlier=(Exchange("Is it kind?", "It is.\nFinal rating: 5"),))
    assert one.encode(prompt) == reference(one, prompt)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_beginning_of_the_text_stands_once_where_the_tokenizer_writes_it(family, kind):
    one = chat(family, kind)
    alone = one.tokenizer("x")["input_ids"]
    if one.tokenizer.bos_token_id in alone[:1]:
        assert one.encode(Prompt(ASKED)).count(one.tokenizer.bos_token_id) == 1
    if kind == "base":
        assert list(one.encode(Prompt(ASKED))) == one.tokenizer(f"{ASKED}\n")["input_ids"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_control_strings_of_the_family_stay_text(family, kind):
    one = chat(family, kind)
    plain = one.tokens.controls(one.encode(Prompt("x")))
    control = [token for token, i in one.tokenizer.get_added_vocab().items() if i in one.tokens.control_ids]
    written = {token for token in control if token in one.template.text} | set(control[:40])
    for string in sorted(written):
        text = f"a {string} b{string}c\n{string}"
        ids = one.encode(Prompt(text))
        assert one.tokens.controls(ids) == plain, string
        assert text in one.decode(ids), string
        assert one.read(one.encode_completion(text)[:-1]) == one.opened + text, string


@pytest.mark.parametrize("family", FAMILIES)
def test_the_turn_ends_with_the_token_that_the_family_ends_it_with(family):
    one, end = chat(family), FAMILIES[family][1]
    assert one.tokenizer.convert_ids_to_tokens(one.end_of_turn) == end
    assert CompletionReader(one, MARKER).ends((*one.encode_plain("kind"), one.end_of_turn))
    assert chat(family, "base").end_of_turn == one.tokenizer.eos_token_id


@pytest.mark.parametrize("family", ["Qwen 3"])
def test_with_thinking_off_the_empty_block_is_the_prompts(family):
    one = chat(family, thinking="off")
    assert one.template.opening.endswith("<think>\n\n</think>\n\n")
    assert (one.opened, one.template.lead) == ("", "")
    assert list(faults(one, MARKER, continuations("digits"))) == []


def random_model(family, *, seed=0):
    """A model that can say every token of the family, none of them likely."""
    one = chat(family)
    sizes = {
        "vocab_size": len(one.tokenizer), "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 2048,
        "tie_word_embeddings": True, "initializer_range": 0.2,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(**sizes))
    return LoadedModel(model.eval(), one.tokenizer, frozenset({one.tokenizer.eos_token_id}))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_levels_probabilities_and_what_is_left_sum_to_one(family):
    """The tree of the levels' tokens: at each node the next tokens sum to one; what leads to no level is left."""
    loaded = random_model(family)
    engine, one = TransformersEngine(loaded, marker=MARKER), chat(family)
    reader, prompt = CompletionReader(one, MARKER), one.encode(Prompt("x"))
    for scale in SCALES:
        ids = one.encode_completion(f"kind\n{MARKER}{continuations(scale)[0]}")
        draft = reader.draft(ids, Finish.STOP, len(prompt), ())
        query = LevelQuery(Prompt("x"), draft, draft.text.index(MARKER) + len(MARKER), continuations(scale))
        (scored,) = engine.score_levels([query])
        before, tails = reader.rationale_and_tails(query)
        nodes = sorted({tail[:n] for tail in tails for n in range(len(tail))})
        reached, left = {(): 1.0}, 0.0
        for node in nodes:
            with torch.inference_mode():
                logits = loaded.model(torch.tensor([[*prompt, *before, *node]])).logits[0, -1]
            following = logits.double().softmax(dim=0)
            taken = {tail[len(node)] for tail in tails if tail[: len(node)] == node and len(tail) > len(node)}
            reached |= {(*node, token): reached[node] * float(following[token]) for token in taken}
            following[sorted(taken)] = 0
            left += reached[node] * float(following.sum())
        for tail, logp in zip(tails, scored, strict=True):
            assert math.exp(logp) == pytest.approx(reached[tail], rel=1e-3)
        assert sum(map(math.exp, scored)) + left == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("family", "name"), [("Mistral v3", "mistral_v3"), ("Mistral Tekken", "tekken")])
def test_what_is_converted_here_encodes_as_mistrals_own_library_does(family, name):
    told = json.loads((ROOT / "tests" / "fixtures" / "mistral_common.json").read_text())[name]
    words = tokenizer(family)
    assert len(words) == told["n"]
    for text, ids in told["texts"]:
        assert words(text, add_special_tokens=False)["input_ids"] == ids, text
    turns = [("user", "What is 3 + 4 ?"), ("assistant", "It is 7."), ("user", "And 8 ?")]
    messages = [{"role": role, "content": content} for role, content in turns]
    for count, key in ((1, "chat"), (3, "answered")):
        found = words.apply_chat_template(messages[:count], add_generation_prompt=True, return_dict=False)
        assert found == told[key]


def test_the_table_in_the_documentation_is_what_is_found_here():
    table = (ROOT / "docs" / "model-families.md").read_text(encoding="utf-8")
    for family in FAMILIES:
        found = []
        for scale in SCALES:
            passed = not any(list(faults(chat(family, kind), MARKER, continuations(scale))) for kind in KINDS)
            found.append("pass" if passed else "FAIL")
        assert f"| {family} | {' | '.join(found)} |" in table
