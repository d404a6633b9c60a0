"""Multiple choice on invented rows, in the schemes of published sets."""

import json

from rationem import Example, JudgeTask
from rationem.tasks import choices
from rationem.tasks.template import packaged

WORDS = ("kind", "right", "rude", "long", "odd")


def task(letters=4, **more):
    words = {"template": packaged("choice"), "hint": packaged("choice_hint"), "name": "choice"} | more
    return JudgeTask(choices.scale_of(letters), **words)


def item(texts=("dry", "wet", "oily"), answer="B", name="x", labels=None, **more):
    fields = {
        "prompt": "Which palm?",
        **choices.fields_of(texts, labels or [f"L{n}" for n in range(len(texts))]),
        **more,
    }
    return Example(name, fields, answer, group="Which palm?")


def rows_of(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def arc(n, k=4, labels="ABCDE"):
    return {
        "id": f"Goat_{n}",
        "question": f"Which goat is {n} ?",
        "choices": {"text": [f"{n} {word}" for word in WORDS[:k]], "label": list(labels[:k])},
        "answerKey": labels[n % k],
    }


def mmlu(n, subject="goat_keeping"):
    texts = [f"{n} {word}" for word in WORDS[:4]]
    return {"question": f"Which goat is {n} ?", "subject": subject, "choices": texts, "answer": n % 4}
