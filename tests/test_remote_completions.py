"""The completions engine: what it sends, what it makes of answers, and that it agrees with the transformers engine."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import checkpoints
import rationem
from rationem import progress
from rationem.engines import models
from rationem.engines.chat import Chat
from rationem.engines.completion import CompletionReader
from rationem.engines.remote.client import Client
from rationem.engines.remote.completions import CompletionsEngine
from rationem.errors import ConfigError, RunError
from rationem.tasks.scale import MARKER
from rationem.types import Concurrent, Draft, Finish, LevelQuery, Prompt, Request, Sampling, TokenQuery
from stub_server import ModelAnswers, Reply, StubServer

PROMPT = Prompt("what is 3 + 4 ?")
SAMPLING = Sampling(max_new_tokens=24)
LEVELS = (" 1", " 10", " 100", " Could be Improved")


@pytest.fixture(scope="module")
def chat():
    return Chat(checkpoints.tokenizer())


@pytest.fixture
def engine(chat):
    """Start an engine on the answers given; closed, with its server, behind the test."""
    opened = []

    def start(answer, *, patience=5.0, keep=True, delay=0.0, concurrency=256, **settings):
        server = StubServer(answer, keep=keep, delay=delay).__enter__()
        client = Client([server.url], patience=patience, concurrency=concurrency)
        made = CompletionsEngine(
            client, settings.pop("chat", chat), model="m", marker=MARKER, concurrency=concurrency, **settings
        )
        opened.extend([made.close, server.__exit__])
        made.server = server
        return made

    yield start
    for close in opened:
        close()


def choice(ids, finish="stop", **more):
    return {"token_ids": list(ids), "finish_reason": finish, "logprobs": {"token_logprobs": [-0.5] * len(ids)}, **more}


def says(*args, **more):
    return lambda _path, _body: {"choices": [choice(*args, **more)]}


def one(engine, sampling=SAMPLING):
    (draft,) = engine.sample([Request(PROMPT, sampling, seed=7)])
    return draft


def test_every_field_is_sent(engine, chat):
    made = engine(says([chat.end_of_turn]), stop_ids=(5, 3), closings=("Final rating: 4\n",))
    one(made, Sampling(temperature=0.7, top_p=0.9, top_k=20, max_new_tokens=9))
    assert made.server.asked == [
        (
            "/v1/completions",
            {
                "model": "m",
                "prompt": list(chat.encode(PROMPT)),
                "max_tokens": 9,
                "n": 1,
                "stream": False,
                "temperature": 0.7,
                "top_p": 0.9,
                "top_k": 20,
                "min_p": 0,
                "repetition_penalty": 1,
                "presence_penalty": 0,
                "frequency_penalty": 0,
                "seed": 7,
                "logprobs": 0,
                "ignore_eos": True,
                "stop_token_ids": sorted({3, 5, chat.end_of_turn}),
                "stop": ["Final rating: 4\n"],
                "include_stop_str_in_output": True,
                "skip_special_tokens": False,
                "add_special_tokens": False,
                "return_token_ids": True,
                "return_tokens_as_token_ids": True,
            },
        )
    ]


def test_it_is_concurrent_and_likes_four_times_what_it_holds(engine):
    made = engine(says([2]), concurrency=5)
    assert isinstance(made, Concurrent)
    assert (made.concurrency, made.batch_size, made.honours_seeds) == (5, 20, True)


def test_a_completion_ends_behind_its_verdict_line_whatever_the_server_sends(engine, chat):
    ids = chat.encode_plain(f"kind\n{MARKER} 4\n")
    beyond = chat.encode_completion("and on")
    draft = one(engine(says([*ids, *beyond])))
    assert draft == Draft(
        f"kind\n{MARKER} 4\n", ids, Finish.STOP, len(chat.encode(PROMPT)), (-0.5,) * len(ids), encoded=False
    )


def test_an_end_of_turn_is_an_end_even_as_the_last_token_allowed(engine, chat):
    ids = chat.encode_completion("kind")
    for finish in ("stop", "length"):
        draft = one(engine(says(ids, finish)), replace(SAMPLING, max_new_tokens=len(ids)))
        assert (draft.text, draft.token_ids, draft.finish) == ("kind", ids, Finish.STOP)


@pytest.mark.parametrize(
    ("limit", "finish", "expected"),
    [
        (3, "length", "length"),
        (9, "length", "failed"),
        (9, "stop", "failed"),
        (9, "abort", "failed"),
        (3, None, "failed"),
    ],
)
def test_what_has_no_end_was_cut_at_its_length_or_failed(engine, limit, finish, expected):
    draft = one(engine(says([40, 41, 42], finish)), Sampling(max_new_tokens=limit))
    assert draft.finish == expected
    assert draft.token_ids == ((40, 41, 42) if expected == "length" else ())


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_of_far_more_tokens_than_were_asked_for_the_first_are_read(engine, chat, finish, monkeypatch):
    """300,000 line breaks for 24 tokens: each would be read with all before it."""
    read = []
    monkeypatch.setattr(CompletionReader, "length", lambda self, ids: read.append(len(ids)))
    (line,) = chat.encode_plain("\n")
    draft = one(engine(says([line] * 300_000, finish)))
    assert read == [24]
    assert (draft.finish, len(draft.token_ids)) == ((Finish.LENGTH, 24) if finish == "length" else (Finish.FAILED, 0))


@pytest.mark.slow
@pytest.mark.parametrize("finish", ["stop", "length"])
def test_of_a_text_far_longer_than_was_asked_for_the_beginning_is_read(engine, chat, finish, monkeypatch):
    read, length = [], CompletionReader.length
    monkeypatch.setattr(CompletionReader, "length", lambda self, ids: read.append(len(ids)) or length(self, ids))
    answer = {"choices": [{"text": "\n" * 10_000_000, "finish_reason": finish}]}
    draft = one(engine(lambda _path, _body: answer), Sampling(max_new_tokens=4))
    assert max(read) <= 4 * 8
    assert draft.finish is Finish.LENGTH


def test_greedy_tokens_are_certain(engine, chat):
    assert one(engine(says(chat.encode_completion("kind"))), Sampling(0.0)).token_logps == (0.0,) * 3


def test_logprobs_that_are_not_those_of_the_draw_are_left_out(engine, chat):
    made = engine(says(chat.encode_completion("kind")), processed=False)
    assert len(one(made).token_logps) == 3
    assert one(made, Sampling(temperature=0.7)).token_logps == ()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"choices": [choice([40, 41]) | {"logprobs": {"token_logprobs": [-1.0]}}]}, "2 tokens and 1 log-prob"),
        ({"choices": [choice([40]) | {"logprobs": {"token_logprobs": [float("nan")]}}]}, "not finite"),
        ({"choices": [choice([40]) | {"logprobs": {"token_logprobs": [None]}}]}, "not finite"),
        ({"choices": [choice(["a"])]}, "not integers"),
        ({"choices": [choice([40, 2**40])]}, "not integers of this vocabulary"),
        ({"choices": [choice([40, 200_000])]}, "not integers of this vocabulary"),
        ({"choices": [choice([40]) | {"logprobs": {"token_logprobs": [10**400]}}]}, "not finite"),
        ({"choices": ["x"]}, "choices of an unknown form: .'x'"),
        ({"choices": [None]}, "choices of an unknown form"),
        ({"choices": [choice([40], index="0")]}, "choices of an unknown form"),
        ({"choices": [choice([40]) | {"logprobs": [1]}]}, "choices of an unknown form"),
        ({"choices": [choice([40]) | {"logprobs": {"token_logprobs": 3}}]}, "choices of an unknown form"),
        ({"choices": [choice([40]) | {"token_ids": 3}]}, "choices of an unknown form"),
        ({"choices": [choice([40], prompt_token_ids=3)]}, "choices of an unknown form"),
        (Reply(200, '{"choices":' + "[" * 100_000 + "]" * 100_000 + "}"), "other than a JSON object"),
        ({"choices": [choice([40], prompt_token_ids=[1, 2])]}, "another prompt than was sent: 2 tokens instead of"),
        ({"choices": []}, "not 1 choices"),
        ({"error": "?"}, "not 1 choices"),
        (Reply(400, {"error": {"message": "maximum context length is 64"}}), "maximum context length is 64"),
    ],
)
def test_answers_that_cannot_be_right_are_errors(engine, answer, words):
    with pytest.raises(RunError, match=words):
        one(engine(lambda _path, _body: answer))


@pytest.mark.parametrize(
    "told",
    [
        {"prompt_logprobs": 3},
        {"prompt_logprobs": ["x"]},
        {"prompt_logprobs": [{"5": 3}]},
        {"logprobs": {"top_logprobs": 3}},
        {"logprobs": {"top_logprobs": ["x"]}},
    ],
)
def test_scores_of_another_form_are_errors(engine, told):
    made = engine(lambda _path, body: {"choices": [told] * (len(body["prompt"]) if "logprob_token_ids" in body else 1)})
    draft = Draft(MARKER, (5, 6), Finish.LENGTH, 0)
    with pytest.raises(RunError, match="choices of an unknown form"):
        made.score_tokens([TokenQuery(PROMPT, draft)])
    with pytest.raises(RunError, match="choices of an unknown form"):
        made.score_levels([LevelQuery(PROMPT, draft, len(MARKER), LEVELS)])


def draws(ids):
    """A server that draws these ids, and stops as vLLM does: at a stop token, at a stop text, or at the limit."""

    def answer(_path, body):
        for n in range(1, body["max_tokens"] + 1):
            text = Chat(checkpoints.tokenizer()).decode(tuple(ids[:n]))
            if ids[n - 1] in body["stop_token_ids"] or any(stop in text for stop in body["stop"]):
                return {"choices": [choice(ids[:n], "stop")]}
        return {"choices": [choice(ids[: body["max_tokens"]], "length")]}

    return answer


@pytest.mark.parametrize(
    "before", [f"{MARKER}\n{MARKER} 4\n", f"{MARKER} \nx\n{MARKER} 4\n", f"kind\n\n{MARKER}\n{MARKER} 4\n"]
)
def test_a_stop_of_the_server_that_is_no_end_changes_no_draw(engine, chat, before):
    """The first verdict line is empty, and never closed: the draw goes on, with closings as without."""
    ids, closings = chat.encode_completion(f"{before}and on"), (f"\n{MARKER} 4\n",)
    made = engine(draws(ids), closings=closings)
    draft = one(made, Sampling(max_new_tokens=len(ids)))
    assert draft == one(engine(draws(ids)), Sampling(max_new_tokens=len(ids)))
    assert (draft.text, draft.token_ids, draft.finish) == (f"{before}and on", ids, Finish.STOP)
    (_, first), (_, second) = made.server.asked
    assert (first["stop"], second) == (list(closings), first | {"stop": []})
    draft = one(made, Sampling(max_new_tokens=len(ids) - 1))
    assert (draft.token_ids, draft.finish) == (ids[:-1], Finish.LENGTH)


def test_a_stop_that_is_an_end_or_a_failure_without_closings_is_asked_for_once(engine, chat):
    closings = (f"\n{MARKER} 4\n",)
    made = engine(draws(chat.encode_plain(f"kind\n{MARKER} 4\nand on and on")), closings=closings)
    assert (one(made).text, made.server.count) == (f"kind\n{MARKER} 4\n", 1)
    for settings, count in (({}, 1), ({"closings": closings}, 2)):
        made = engine(says([40, 41, 42]), **settings)
        assert (one(made).finish, made.server.count) == (Finish.FAILED, count)


@pytest.mark.parametrize("temperature", [1e-6, 0.005, 0.0099])
def test_temperatures_that_vllm_would_change_are_refused(engine, chat, temperature):
    made = engine(says(chat.encode_completion("kind")))
    with pytest.raises(ConfigError, match=r"Use 0 for greedy, or at least 0\.01"):
        made.submit(Request(PROMPT, Sampling(temperature=temperature), seed=0))
    assert made.server.count == 0
    assert one(made, Sampling(temperature=0.01)).finish is Finish.STOP


def test_one_error_ends_a_call_and_cancels_the_rest(engine):
    made = engine(lambda _path, body: Reply(400, "no") if body["seed"] == 0 else {"choices": [choice([2])]}, delay=0.1)
    with pytest.raises(RunError):
        made.sample([Request(PROMPT, SAMPLING, seed=n) for n in range(3)])


def text(words, finish="stop"):
    return lambda _path, _body: {"choices": [{"text": words, "finish_reason": finish}]}


@pytest.mark.parametrize("said", ["kind", "kind<|im_end|>"])
def test_a_text_without_ids_is_encoded_and_marked(engine, chat, said):
    draft = one(engine(text(said)))
    assert draft == Draft(
        "kind", chat.encode_completion("kind"), Finish.STOP, len(chat.encode(PROMPT)), (), encoded=True
    )


def test_a_text_without_ids_ends_like_any_other(engine, chat):
    draft = one(engine(text(f"{MARKER} 4\nmore", "length")))
    assert (draft.text, draft.finish, draft.encoded) == (f"{MARKER} 4\n", Finish.STOP, True)
    draft = one(engine(text("kin", "length")))
    assert (draft.token_ids, draft.finish) == (chat.encode_plain("kin"), Finish.LENGTH)
    assert one(engine(text("kin", "abort"))).finish is Finish.FAILED
    for odd in (None, 3, ["kind"], "half \ud800 a pair"):
        assert one(engine(text(odd))).finish is Finish.FAILED
    assert one(engine(text("kin", ["stop"]))).finish is Finish.FAILED


def test_texts_without_ids_are_told_of_once(engine, monkeypatch):
    said = []

    class Display(progress.Silent):
        def say(self, text):
            said.append(text)

    monkeypatch.setattr(progress, "_display", Display())
    made = engine(text("kind"))
    one(made), one(made)
    assert len(said) == 1
    assert "cannot be weighted" in said[0]


def test_a_server_that_may_keep_verdicts_back_is_refused(engine):
    """Where a server is not vLLM, a stop text is not part of what comes back."""
    with pytest.raises(RunError, match="may omit the verdict lines"):
        one(engine(text("kind\n"), closings=("Final rating: 4\n",)))


def test_it_closes_once(chat):
    closed = []
    made = CompletionsEngine(
        Client(["http://localhost"]), chat, model="m", marker=MARKER, on_close=lambda: closed.append(1)
    )
    made.close(), made.close()
    assert closed == [1]


def test_levels_are_one_request_over_the_inner_nodes_of_their_tails(engine, chat):
    """By hand: log pi of token v behind any node is -v / 100, so that a level's is minus its tokens' sum / 100."""

    def answer(_path, body):
        told = {f"token_id:{token}": -token / 100 for token in body["logprob_token_ids"]}
        choices = [{"index": i, "logprobs": {"top_logprobs": [told]}} for i in range(len(body["prompt"]))]
        return {"choices": choices[::-1]}

    made, said = engine(answer), f"kind\n{MARKER} 1"
    draft = Draft(said, chat.encode_plain(said), Finish.LENGTH, 0)
    scores = made.score_levels([LevelQuery(PROMPT, draft, len(said) - 2, (" 1", " 10"))])
    tails = [chat.encode_completion(level) for level in (" 1", " 10")]
    assert scores == [pytest.approx([-sum(tail) / 100 for tail in tails])]
    ((_, body),) = made.server.asked
    prefix = [*chat.encode(PROMPT), *chat.encode_plain(said[:-2])]
    nodes = {tail[:n] for tail in tails for n in range(len(tail))}
    assert sorted(body["prompt"]) == sorted([*prefix, *node] for node in nodes)
    assert body["logprob_token_ids"] == sorted({token for tail in tails for token in tail})
    assert (body["max_tokens"], body["temperature"], body["top_p"], body["top_k"], body["logprobs"]) == (1, 1, 1, 0, 1)
    assert "seed" not in body


def test_a_server_that_scores_nothing_is_refused_with_a_way_out(engine, chat):
    made = engine(
        lambda _path, body: {"choices": [choice([2])] * (len(body["prompt"]) if "logprob_token_ids" in body else 1)}
    )
    draft = Draft(f"{MARKER} 1", chat.encode_plain(f"{MARKER} 1"), Finish.LENGTH, 0)
    with pytest.raises(RunError, match="--fast"):
        made.score_levels([LevelQuery(PROMPT, draft, len(MARKER), LEVELS)])
    with pytest.raises(RunError, match="--fast"):
        made.score_tokens([TokenQuery(PROMPT, draft)])
    assert made.score_tokens([TokenQuery(PROMPT, Draft("", (), Finish.FAILED, 0))]) == [()]


def test_scoring_holds_few_requests_at_a_time(engine):
    def answer(_path, body):
        told = [None] + [{str(token): {"logprob": -1.0}} for token in body["prompt"][1:]]
        return {"choices": [{"prompt_logprobs": told}]}

    made = engine(answer, delay=0.01)
    found = made.score_tokens([TokenQuery(PROMPT, Draft("", (5, 6), Finish.LENGTH, 0))] * 100)
    assert found == [(-1.0, -1.0)] * 100
    assert made.server.most == 32


@pytest.fixture(scope="module", params=list(checkpoints.STYLES))
def loaded(request, tmp_path_factory):
    return models.load(checkpoints.checkpoint(tmp_path_factory.mktemp("model"), request.param))


def questions(local):
    """Drafts of all kinds with a verdict line behind them, in one token with its marker or in many."""
    drafts = local.sample([Request(Prompt("what is it " * (n + 1)), SAMPLING, seed=n) for n in range(6)])
    said = [f"{draft.text}\n{MARKER} 10" for draft in drafts]
    return [
        LevelQuery(
            Prompt("what is it " * (n + 1)), Draft(t, local.encode_completion(t), Finish.STOP, 0), len(t) - 3, LEVELS
        )
        for n, t in enumerate(said)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("can", [("token_ids", "logprob_token_ids"), ("token_ids", "prompt_logprobs")])
def test_levels_are_the_transformers_engines(engine, loaded, can):
    local = rationem.TransformersEngine(loaded, marker=MARKER)
    made = engine(ModelAnswers(loaded, can=can), chat=Chat(loaded.tokenizer), stop_ids=loaded.stop_ids)
    queries = questions(local)
    for found, expected in zip(made.score_levels(queries), local.score_levels(queries), strict=True):
        assert found == pytest.approx(expected, abs=1e-4)
    named = [body for _, body in made.server.asked if "logprob_token_ids" in body]
    assert len(named) == len(made.server.asked) if "logprob_token_ids" in can else len(named) < len(made.server.asked)


@pytest.mark.slow
def test_the_way_back_is_taken_once_for_all(engine, loaded):
    made = engine(ModelAnswers(loaded, can=("prompt_logprobs",)), chat=Chat(loaded.tokenizer))
    for query in questions(rationem.TransformersEngine(loaded, marker=MARKER)):
        made.score_levels([query])
    assert sum("logprob_token_ids" in body for _, body in made.server.asked) == 1


@pytest.mark.slow
def test_tokens_are_scored_like_the_transformers_engines_and_drawn_as_scored(engine, loaded):
    local = rationem.TransformersEngine(loaded, marker=MARKER)
    made = engine(ModelAnswers(loaded), chat=Chat(loaded.tokenizer), stop_ids=loaded.stop_ids)
    requests = [Request(Prompt("what is it " * (n % 3)), SAMPLING, seed=n) for n in range(12)]
    drafts = made.sample(requests)
    queries = [TokenQuery(request.prompt, draft) for request, draft in zip(requests, drafts, strict=True)]
    for draft, found, expected in zip(drafts, made.score_tokens(queries), local.score_tokens(queries), strict=True):
        assert found == pytest.approx(expected, abs=1e-4)
        assert draft.token_logps == pytest.approx(expected, abs=1e-4)
    assert {draft.finish for draft in drafts} <= {Finish.STOP, Finish.LENGTH}


def peak():
    """The most memory of this process since it was last set back, in KiB."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


@pytest.mark.slow
def test_ten_thousand_requests_stay_bounded(engine, chat):
    ids = chat.encode_completion("kind " * 20)
    made = engine(says(ids), keep=False, concurrency=64)
    Path("/proc/self/clear_refs").write_text("5")  # earlier tests of this process may have used more
    before = peak()
    drafts = made.sample([Request(PROMPT, Sampling(max_new_tokens=200), seed=n) for n in range(10_000)])
    assert len(drafts) == made.server.count == 10_000
    assert made.server.most <= 64
    assert (peak() - before) / 1024 < 300  # MiB; all were queued at once
