"""The teacher: what it is asked, and how its words become drafts that nobody can mistake for the model's own."""

import pytest

import checkpoints
from rationem.engines.chat import Chat
from rationem.engines.remote.client import Client
from rationem.engines.remote.teacher import ChatEngine
from rationem.errors import RunError
from rationem.tasks.scale import MARKER
from rationem.types import Concurrent, Draft, Finish, LevelQuery, Prompt, Request, Sampling, TokenQuery
from stub_server import Reply, StubServer

PROMPT = Prompt("what is 3 + 4 ?", "rationalize")


@pytest.fixture(scope="module")
def chat():
    return Chat(checkpoints.tokenizer())


@pytest.fixture
def teacher(chat):
    """Start a teacher on the answers given; closed, with its server, behind the test."""
    opened = []

    def start(answer):
        server = StubServer(answer).__enter__()
        made = ChatEngine(Client([server.url]), chat, model="big", marker=MARKER, stop_ids=(0,), concurrency=8)
        opened.extend([made.close, server.__exit__])
        made.server = server
        return made

    yield start
    for close in opened:
        close()


def says(content, finish="stop", **more):
    return lambda _path, _body: {"choices": [{"message": {"content": content, **more}, "finish_reason": finish}]}


def one(engine, **sampling):
    (draft,) = engine.sample([Request(PROMPT, Sampling(**{"max_new_tokens": 50, **sampling}), seed=7)])
    return draft


def test_the_prompt_is_one_user_turn_and_every_common_field_is_sent(teacher):
    made = teacher(says("kind"))
    one(made, temperature=0.7, top_p=0.9)
    one(made, top_k=20)
    expected = {
        "model": "big",
        "messages": [{"role": "user", "content": PROMPT.text}],
        "max_tokens": 50,
        "temperature": 0.7,
        "top_p": 0.9,
        "seed": 7,
        "n": 1,
        "stream": False,
    }
    assert made.server.asked == [
        ("/v1/chat/completions", expected),
        ("/v1/chat/completions", expected | {"temperature": 1.0, "top_p": 1.0, "top_k": 20}),
    ]


def test_words_are_encoded_once_by_the_student_and_marked(teacher, chat):
    made = teacher(says(f"kind\n{MARKER} 4"))
    assert one(made) == Draft(
        f"kind\n{MARKER} 4",
        chat.encode_completion(f"kind\n{MARKER} 4"),
        Finish.STOP,
        len(chat.encode(PROMPT)),
        (),
        encoded=True,
    )
    assert isinstance(made, Concurrent)
    assert (made.honours_seeds, made.concurrency, made.batch_size) == (False, 8, 32)
    assert made.prompt_tokens(PROMPT) == len(chat.encode(PROMPT))
    assert made.encode_completion("kind") == chat.encode_completion("kind")
    assert made.tokens_within(one(made), 4) == len(chat.encode_plain("kind"))


def test_what_stands_behind_the_verdict_line_is_cut_off(teacher):
    for finish in ("stop", "length"):
        draft = one(teacher(says(f"kind\n{MARKER} 4\n\nI hope this helps! {MARKER} 5", finish)))
        assert draft.finish is Finish.STOP
        assert draft.text.rstrip() == f"kind\n{MARKER} 4"


def test_control_tokens_in_its_words_are_plain_text(teacher, chat):
    draft = one(teacher(says("a <|im_start|> b")))
    assert draft.text == "a <|im_start|> b"
    assert [token for token in draft.token_ids if token in chat.tokens.control_ids] == [chat.end_of_turn]


def test_a_cut_answer_has_no_end(teacher, chat):
    draft = one(teacher(says("kin", "length")))
    assert (draft.token_ids, draft.finish) == (chat.encode_plain("kin"), Finish.LENGTH)


@pytest.mark.parametrize(
    "answer",
    [
        says(None),
        says("no", refusal="I cannot"),
        says("kind", "content_filter"),
        says(["kind"]),
        says("kind", None),
        says("kind", ["stop"]),
        says("half \ud800 a pair"),
    ],
    ids=["null", "refusal", "filter", "parts", "unfinished", "odd", "surrogate"],
)
def test_what_is_no_answer_is_a_failure_of_the_engine(teacher, answer):
    assert one(teacher(answer)) == Draft("", (), Finish.FAILED, 25)


def test_reasoning_apart_is_left_out(teacher):
    assert one(teacher(says("kind", reasoning_content="let me think"))).text == "kind"
    assert one(teacher(says(None, reasoning_content="let me think"))).finish is Finish.FAILED


def test_its_likelihoods_cannot_be_asked_for(teacher):
    made, draft = teacher(says("kind")), Draft("kind", (1,), Finish.STOP, 0)
    query = LevelQuery(PROMPT, draft, 4, (" 1",))
    for ask in (
        lambda: made.score_levels([query]),
        lambda: made.submit_levels(query),
        lambda: made.score_tokens([TokenQuery(PROMPT, draft)]),
    ):
        with pytest.raises(RunError, match="log-probabilities are not available"):
            ask()


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(400, {"error": {"message": "no such field: seed"}}), "no such field: seed"),
        ({"choices": []}, "one choice"),
        ({"choices": ["x"]}, "one choice"),
        ({"choices": {"0": 1}}, "one choice"),
        ({"choices": [{"message": "text", "finish_reason": "stop"}]}, "one choice with a message"),
    ],
)
def test_what_the_server_refuses_is_told(teacher, reply, words):
    with pytest.raises(RunError, match=words):
        one(teacher(lambda _path, _body: reply))
