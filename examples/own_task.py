"""A task of your own whose answer is one of a few levels.

    rationem task check examples/own_task.py:Tone
    rationem fit notes.csv --task examples/own_task.py:Tone --answer-col tone --model MODEL --output runs/tone

``scale`` makes the answers levels: each then has a probability, and reports have what a judge's reports have.
"""


class Tone:
    inputs = ("note",)  # columns of the file; no other column can reach a prompt
    optional = ("sender",)
    scale = "Rude < Curt < Neutral < Warm"

    def prompt(self, fields):
        sender = f"From: {fields['sender']}\n" if fields["sender"] else ""
        return (
            f"{sender}{fields['note']}\n\n"
            "What is the tone of this note? Reason first, then end with one line: Answer: Rude, Curt, Neutral or Warm"
        )

    def hint(self, fields, answer):
        return f"The tone is {answer}. Explain which words carry it."

    def reward(self, predicted, answer):
        """1 for the right level, a half for its neighbour; a draw is kept where this reaches --threshold."""
        order = ("Rude", "Curt", "Neutral", "Warm")
        return max(0.0, 1 - abs(order.index(predicted) - order.index(answer)) / 2)
