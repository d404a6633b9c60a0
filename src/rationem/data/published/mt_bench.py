"""MT-Bench's human judgements (Zheng et al. 2023, arXiv 2306.05685): which of two conversations is better.

A row is one judge's verdict on one turn. The same pair is shown to judges with either model first, so the sides are put
in the order of the models' names. In the second turn the verdict is about the conversation so far: both answers and
the second question are shown. Chatbot Arena's conversations have the same keys.
"""

from __future__ import annotations

from rationem.data.columns import Columns
from rationem.data.published.preset import Cells, Preset
from rationem.tasks.scale import Scale

_INPUTS = ("question_id", "model_a", "model_b", "conversation_a", "conversation_b", "turn")


def _flatten(cells: Cells) -> dict[str, object]:
    sides = sorted("ab", key=lambda side: (str(cells[f"model_{side}"]), side))
    turn = int(str(cells["turn"]))
    said = [_parts(cells[f"conversation_{side}"], turn) for side in sides]
    winner = str(cells.get("winner"))
    places = {f"model_{side}": level for side, level in zip(sides, "AB", strict=True)}
    models = [str(cells[f"model_{side}"]) for side in sides]
    return {
        "id": "-".join([str(cells["question_id"]), str(turn), *models]),
        "group": cells["question_id"],
        "question": said[0][0],
        "answer_a": said[0][1],
        "answer_b": said[1][1],
        "winner": "tie" if winner.startswith("tie") else places.get(winner, cells.get("winner")),
        "judge": cells.get("judge"),
    }


def _parts(conversation: object, turn: int) -> tuple[str, str]:
    """Return the first question, and what follows it up to the answer of a turn."""
    if not isinstance(conversation, list) or not all(isinstance(message, dict) for message in conversation):
        raise ValueError("a conversation is not a list of messages.")
    texts = [str(message.get("content", "")) for message in conversation[: 2 * turn]]
    if len(texts) < 2 * turn or turn < 1:
        raise ValueError(f"a conversation has {len(conversation)} messages, too few for turn {turn}.")
    later = [f"{'User' if at % 2 else 'Assistant'}: {text}" for at, text in enumerate(texts[2:], 1)]
    return texts[0], "\n\n".join([texts[1], *later])


MT_BENCH = Preset(
    name="mt-bench",
    schema='{"question_id", "model_a", "model_b", "winner", "judge", "conversation_a", "conversation_b", "turn"}',
    scale=Scale.parse("A | B | tie"),
    columns=Columns("question", "answer_a,answer_b", "winner", id="id", group="group", rater="judge"),
    inputs=_INPUTS,
    labels=("winner", "judge"),
    flatten=_flatten,
    empty="(empty)",
    lenient=True,
)
