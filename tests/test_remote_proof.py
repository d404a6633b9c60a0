"""Whether running servers hold a checkpoint: proven in silence, doubted aloud, or refused."""

import pytest

import checkpoints
from rationem import progress
from rationem.engines import models
from rationem.engines.chat import Chat
from rationem.engines.remote.client import Client
from rationem.engines.remote.completions import CompletionsEngine
from rationem.engines.remote.proof import prove
from rationem.errors import RunError
from rationem.tasks.scale import MARKER
from stub_server import ModelAnswers, Reply, StubServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return models.load(checkpoints.checkpoint(tmp_path_factory.mktemp("model"), "chatml"))


@pytest.fixture
def said(monkeypatch):
    lines = []

    class Display(progress.Silent):
        def say(self, text):
            lines.append(text)

    monkeypatch.setattr(progress, "_display", Display())
    return lines


def shifted(loaded, by):
    """The checkpoint's own answers, every log-probability changed by so much."""
    answers = ModelAnswers(loaded)

    def answer(path, body):
        found = answers(path, body)
        for entry in found["choices"][0]["prompt_logprobs"][1:]:
            for told in entry.values():
                told["logprob"] += by
        return found

    return answer


def proven(loaded, answer):
    """Prove the answers' server; return whether the engine was closed, and what was raised."""
    closed, raised = [], None
    with StubServer(answer) as server:
        engine = CompletionsEngine(
            Client([server.url], patience=1.0),
            Chat(loaded.tokenizer),
            model="m",
            marker=MARKER,
            on_close=lambda: closed.append(1),
        )
        try:
            prove(engine, loaded, MARKER, "judge-7")
        except RunError as error:
            raised = str(error)
        was_closed = bool(closed)
        engine.close()
    return was_closed, raised


def test_the_checkpoint_itself_is_proven_in_silence(loaded, said):
    assert proven(loaded, shifted(loaded, 0.0)) == (False, None)
    assert said == []


def test_what_may_be_half_precision_or_a_neighbour_is_said_to_be_either(loaded, said):
    assert proven(loaded, shifted(loaded, 0.05)) == (False, None)
    (line,) = said
    assert line.startswith("Warning: ")
    assert all(words in line for words in ("judge-7", "up to 0.05 nats, 0.05 on average", "half precision", "base"))


def test_other_weights_are_refused_and_let_go(loaded, said):
    closed, raised = proven(loaded, shifted(loaded, 0.3))
    assert closed
    assert "does not hold the weights of judge-7" in raised
    assert said == []


def test_only_a_server_that_tells_nothing_is_believed(loaded, said):
    assert proven(loaded, lambda _path, _body: {"choices": [{"text": "x"}]}) == (False, None)
    (line,) = said
    assert line.startswith("Warning: not verified that the server holds the weights of judge-7")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Reply(400, {"error": {"message": "token id 392 is out of vocabulary"}}), "out of vocabulary"),
        (Reply(401, {"error": {"message": "no key"}}), "no key"),
        ({"choices": [{"prompt_token_ids": [1, 2]}]}, "another prompt than was sent"),
        ({"choices": ["x"]}, "choices of an unknown form"),
        ({"choices": [{"prompt_logprobs": [None]}]}, "log-probabilities of 1 tokens"),
    ],
)
def test_what_is_wrong_is_no_reason_to_believe(loaded, said, answer, words):
    closed, raised = proven(loaded, lambda _path, _body: answer)
    assert closed
    assert words in raised
    assert said == []


def test_log_probabilities_that_are_no_numbers_are_refused(loaded, said):
    def answer(_path, body):
        told = [{str(token): {"logprob": float("nan")}} for token in body["prompt"]]
        return {"choices": [{"prompt_logprobs": told}]}

    closed, raised = proven(loaded, answer)
    assert closed
    assert "not finite" in raised
    assert said == []
