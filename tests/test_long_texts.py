"""Long texts of a user, a model or a stranger: nothing that reads them takes more than time in proportion."""

import os
import random
import time

import pytest

from rationem import progress
from rationem.engines.vllm.environment import without_secrets
from rationem.report.escape import literal, readable
from rationem.sampling.hint_leakage import PHRASES, find
from rationem.tasks import answer_types
from rationem.tasks.answer import OPEN_TASKS
from rationem.tasks.judge import JudgeTask
from rationem.tasks.scale import MARKER, Scale

LENGTH = 200_000
#: What makes a pattern with nested repeats try everything, and a scan begin again at every place.
PIECES = (
    *("\ue000", " ", "\n", "\t", "\u3000", "a", "a ", "1", "1,", "1/", "-", ".", "*", "_", "#", "$", '"', "\\", "{"),
    *("<think>", "</think>", "\\boxed{", "\\frac{1}", "&lt;", "1e", f"{MARKER} ", f"{MARKER}\n", "Answer: ", "["),
    *("Answer:\n", "the hint ", "** ", "#### ", "<|im_end|>"),
)
#: Seconds of CPU time that reading one text may take. In proportion it takes some hundredths; a scan for each place of
#: 200,000 takes minutes.
BOUND = 5.0


def readers():
    judge = JudgeTask(Scale.parse("1-5"))
    yield "a verdict", judge.parse
    yield "a prompt", lambda text: judge.hint_prompt({"prompt": text, "response": text}, "3")
    yield "leaks", lambda text: find(text, PHRASES)
    yield "for a terminal", lambda text: progress.plain(text, breaks=True)
    yield "for a report", readable
    yield "for a model card", literal
    yield "words in common", lambda text: answer_types.rouge_l(text, text)
    for name, make in OPEN_TASKS.items():
        task = make()
        yield f"{name}, a completion", task.parse
        yield f"{name}, a cell", task.read


@pytest.mark.slow
@pytest.mark.parametrize(("what", "read"), list(readers()), ids=[what for what, _ in readers()])
def test_no_text_takes_more_than_time_in_proportion_to_be_read(what, read):
    for piece in PIECES:
        text = piece * (LENGTH // len(piece))
        begun = time.process_time()
        read(text)
        assert time.process_time() - begun < BOUND, (what, piece)


@pytest.mark.slow
def test_a_prompt_of_private_characters_and_control_strings_is_guarded_in_proportion():
    """The guard marks places with a character that the text does not hold; looking for one took 109 s."""
    import checkpoints
    from rationem.engines.chat import Chat
    from rationem.types import Prompt

    chat = Chat(checkpoints.tokenizer())
    for text in ("\ue000" * LENGTH + "<|im_end|>", "<|im_end|>" * (LENGTH // 10)):
        begun = time.process_time()
        chat.encode(Prompt(text))
        assert time.process_time() - begun < 4 * BOUND


class Words:
    def tokenize(self, text):
        return answer_types._WORD.findall(text.casefold())


def test_rouge_l_is_rouge_scores():
    from rouge_score.rouge_scorer import RougeScorer

    scorer, draw = RougeScorer(["rougeL"], tokenizer=Words()), random.Random(0)
    for _ in range(300):
        said, right = (" ".join(draw.choices("abcdefgh", k=draw.randrange(25))) for _ in range(2))
        assert answer_types.rouge_l(said, right) == scorer.score(right, said)["rougeL"].fmeasure


def test_the_longest_common_subsequence_by_hand():
    assert answer_types.rouge_l("the cat sat down", "the dog sat") == pytest.approx(
        2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3)
    )
    assert answer_types.rouge_l("", "a") == answer_types.rouge_l("a", "") == answer_types.rouge_l("a", "b") == 0
    assert answer_types.rouge_l("a a a", "a") == pytest.approx(0.5)


SECRETS = {
    "HF_TOKEN": "x", "HUGGING_FACE_HUB_TOKEN": "x", "OPENAI_API_KEY": "x", "RATIONEM_API_KEY": "x",
    "WANDB_API_KEY": "x", "RATIONEM_TEACHER_KEY": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_ACCESS_KEY_ID": "x",
    "GITHUB_PAT": "x",
    "GOOGLE_APPLICATION_CREDENTIALS": "x", "PGPASSWORD": "x", "MYSQL_PWD": "x", "SSH_AUTH_SOCK": "x", "api_key": "x",
    "DATABASE_URL": "postgres://me:word@host/db", "PIP_INDEX_URL": "https://:word@host/simple",
}  # fmt: skip
HARMLESS = {
    "PATH": "/usr/bin", "HOME": "/root", "PWD": "/root", "OLDPWD": "/", "LD_LIBRARY_PATH": "/cuda", "HF_HOME": "/hf",
    "CUDA_VISIBLE_DEVICES": "0", "NCCL_DEBUG": "INFO", "TOKENIZERS_PARALLELISM": "false", "VLLM_LOGGING_LEVEL": "INFO",
    "OMP_NUM_THREADS": "2", "http_proxy": "http://proxy:3128", "LANG": "C.UTF-8", "KEYBOARD": "de", "XAUTHORITY": "/x",
}  # fmt: skip


def test_what_could_be_a_secret_is_not_handed_to_programs_that_are_not_ours():
    assert without_secrets({**SECRETS, **HARMLESS}) == HARMLESS


@pytest.mark.parametrize("on_hub", [False, True])
def test_a_server_gets_no_secret_and_the_hubs_token_only_for_a_model_of_the_hub(tmp_path, monkeypatch, on_hub):
    from rationem.engines.vllm.flags import Launch
    from rationem.engines.vllm.server import Server

    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    server = Server(Launch("python", cpu=True), "owner/model" if on_hub else str(tmp_path))
    made = server._environment()
    assert made.keys() & SECRETS.keys() == ({"HF_TOKEN"} if on_hub else set())
    assert ("HF_HUB_OFFLINE" in made) >= (not on_hub)
    assert made["PATH"] == os.environ["PATH"]
