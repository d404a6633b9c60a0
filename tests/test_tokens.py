"""Text behind text: what is scored are the tokens that would be drawn and trained in the same place."""

import pytest

import checkpoints
import marked
from rationem.engines.chat import Chat
from rationem.engines.completion import CompletionReader
from rationem.engines.conformance import faults, reference
from rationem.tasks.scale import MARKER
from rationem.types import Finish, LevelQuery, Prompt

SCALES = {
    "digits": ("1", "2", "3", "4", "5"),
    "to ten": tuple(map(str, range(1, 11))),
    "named": ("Bad", "Could be Improved", "Acceptable", "Excellent"),
    "yes and no": ("yes", "no"),
    "letters": ("A", "B", "C", "D"),
    "negative": ("-2", "-1", "0", "1", "2"),
}
STYLES = [style for style, made in checkpoints.TEMPLATES.items() if made[0]]


def chat(kind, template=marked.LLAMA2, **more):
    return Chat(marked.tokenizer(kind, template=template, **more))


@pytest.mark.parametrize("template", [None, marked.LLAMA2, checkpoints.CHATML])
@pytest.mark.parametrize("kind", marked.KINDS)
@pytest.mark.parametrize("scale", SCALES)
def test_levels_are_scored_on_the_tokens_of_the_whole_completion(kind, template, scale):
    one, levels = chat(kind, template), SCALES[scale]
    reader = CompletionReader(one, MARKER)
    for rationale in ("kind\n", "", "so\n\n", "**", "the tone is kind\n# "):
        wholes = [one.encode_completion(f"{rationale}{MARKER} {level}") for level in levels]
        for whole, level in zip(wholes, levels, strict=True):
            draft = reader.draft(whole, Finish.STOP, 0, ())
            assert draft.text == f"{rationale}{MARKER} {level}"
            upto = len(rationale) + len(MARKER)
            prefix, tails = reader.rationale_and_tails(
                LevelQuery(Prompt("x"), draft, upto, tuple(f" {other}" for other in levels))
            )
            assert [prefix + tail for tail in tails] == wholes


@pytest.mark.parametrize("kind", marked.KINDS)
def test_a_level_behind_the_marker_has_one_mark(kind):
    one = chat(kind)
    draft = CompletionReader(one, MARKER).draft(one.encode_completion(f"kind\n{MARKER} 3"), Finish.STOP, 0, ())
    query = LevelQuery(Prompt("x"), draft, len(draft.text) - 2, (" 3",))
    _, (tail,) = CompletionReader(one, MARKER).rationale_and_tails(query)
    assert one.tokenizer.convert_ids_to_tokens(list(tail)) in (["▁3", "</s>"], ["▁", "3", "</s>"])


@pytest.mark.parametrize("kind", marked.KINDS)
def test_a_token_across_the_marker_is_encoded_again_without_a_mark_of_its_own(kind):
    """Encoded alone, the rest of the token that was cut begins with a mark that the draft has not."""
    one, marker = chat(kind), "Final rat"
    wholes = [one.encode_completion(f"kind\n{marker}ing: {level}") for level in "34"]
    draft = CompletionReader(one, marker).draft(wholes[0], Finish.STOP, 0, ())
    query = LevelQuery(Prompt("x"), draft, len(f"kind\n{marker}"), ("ing: 3", "ing: 4"))
    prefix, tails = CompletionReader(one, marker).rationale_and_tails(query)
    assert len(one.read(prefix)) < query.upto
    assert [prefix + tail for tail in tails] == wholes


@pytest.mark.parametrize("marker", ["Verdict", "Answer=", "####"])
@pytest.mark.parametrize("style", ["chatml", "llama3"])
def test_every_level_follows_the_same_tokens_also_where_one_is_joined_with_the_marker(style, marker):
    """Behind "####" a digit is a token of its own and "##" may not be: which was drawn must not decide the split."""
    one = Chat(checkpoints.tokenizer(style))
    reader, levels = CompletionReader(one, marker), ("1", "s", "ing", "#", " x")
    found = []
    for level in levels:
        ids = one.encode_completion(f"kind\n{marker}{level}")
        draft = reader.draft(ids, Finish.STOP, 0, ())
        found.append(reader.rationale_and_tails(LevelQuery(Prompt("x"), draft, len(f"kind\n{marker}"), levels)))
    assert len(set(found)) == 1
    (prefix, tails), *_ = found
    assert [prefix + tail for tail in tails] == [one.encode_completion(f"kind\n{marker}{level}") for level in levels]


@pytest.mark.parametrize("kind", marked.KINDS)
@pytest.mark.parametrize("template", [None, marked.LLAMA2, checkpoints.CHATML])
def test_a_completion_is_encoded_as_the_template_would_have_written_it(kind, template):
    one = chat(kind, template)
    text = f"the tone is kind\n{MARKER} 4"
    before = one.render(one.turns("x"), answered=False) if template else "x\n"
    whole = one.tokens.ids(before + one.template.lead + text)
    assert one.encode_completion(text) == (*whole[len(one.tokens.ids(before)) :], one.end_of_turn)
    assert one.read(one.encode_completion(text)[:-1]) == text


def test_a_template_that_writes_a_blank_before_an_answer_gets_it():
    assert chat("prepend").template.lead == " "
    assert chat("prepend", checkpoints.CHATML).template.lead == ""
    rendered = chat("prepend").render([*chat("prepend").turns("x"), {"role": "assistant", "content": "kind"}])
    whole = chat("prepend").tokens.ids(rendered)
    said = chat("prepend").encode_completion("kind")[:-1]
    assert said == whole[len(chat("prepend").encode(Prompt("x"))) :][: len(said)]


@pytest.mark.parametrize("kind", marked.KINDS)
@pytest.mark.parametrize("hostile", ["</s>", "<s>", "a</s>b", " </s> ", "</s></s>", "</</s>s>", "<unk>", "\n</s>\n"])
@pytest.mark.parametrize("template", [None, marked.LLAMA2])
def test_a_control_string_in_the_middle_of_a_prompt_brings_no_mark_with_it(kind, hostile, template):
    one = chat(kind, template)
    ids = one.encode(Prompt(f"before {hostile} after"))
    assert f"before {hostile} after" in one.decode(ids)
    assert one.tokens.controls(ids) == one.tokens.controls(one.encode(Prompt("x")))


@pytest.mark.parametrize("kind", marked.KINDS)
@pytest.mark.parametrize("begins", [True, False])
def test_a_base_model_gets_the_tokenizers_own_special_tokens_once(kind, begins):
    one = chat(kind, None, begins=begins)
    for text in ("what is 3 + 4 ?", "<s>what"):
        ids = one.encode(Prompt(text))
        assert ids.count(1) == begins
        if "<s>" not in text:
            assert ids == tuple(one.tokenizer(f"{text}\n")["input_ids"]) == reference(one, text)


@pytest.mark.parametrize("kind", marked.KINDS)
def test_a_template_that_writes_them_itself_gets_no_second_one(kind):
    one = chat(kind)
    turns = [{"role": "user", "content": "what is 3 + 4 ?"}]
    ids = one.encode(Prompt("what is 3 + 4 ?"))
    assert ids.count(1) == 1
    assert list(ids) == one.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)


def test_what_a_tokenizer_puts_behind_a_text_is_no_part_of_a_prompt():
    from tokenizers import processors

    words = checkpoints.tokenizer("base")
    closing = type(words)(tokenizer_object=words.backend_tokenizer, eos_token="<|endoftext|>")
    closing.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", words.eos_token_id)]
    )
    assert closing("x")["input_ids"][-1] == words.eos_token_id
    one = Chat(closing)
    assert one.tokens.begins == ()
    assert words.eos_token_id not in one.encode(Prompt("x"))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("style", STYLES)
def test_the_families_styles_have_no_fault(style, scale):
    one = Chat(checkpoints.tokenizer(style))
    assert list(faults(one, MARKER, [f" {level}" for level in SCALES[scale]], embeddings=len(one.tokenizer))) == []


def test_double_blanks_and_tags_of_html_are_text():
    """Gemma has tokens for both, and one beside a real control string made the whole prompt unusable."""
    words = checkpoints.tokenizer("chatml")
    more = type(words)(tokenizer_object=words.backend_tokenizer, eos_token="<|im_end|>")
    more.chat_template = words.chat_template
    more.add_tokens(["▁▁", "<b>", "</table>", "<note>"])
    one = Chat(more)
    ids = one.encode(Prompt("a <b>c</table> <|im_end|>"))
    assert {more.convert_tokens_to_ids(tag) for tag in ("<b>", "</table>")} <= set(ids)
    assert more.convert_tokens_to_ids("<note>") not in one.encode(Prompt("a <note> b"))
