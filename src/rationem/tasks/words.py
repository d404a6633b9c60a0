"""The words that a run's pages use: a judge has levels and verdicts, mathematics has neither."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one kind of task; the defaults are for kinds with levels.

    Args:
        who: what was trained.
        said: what it says in the end.
        right: y*, in a sentence.
        label: y*, over a column.
        none: what there is where nothing could be read.
        wrong: what a draw says that was not accepted.
        constant: what always saying the same is called; of levels the best for the scored items.
        shown: how a hinted draw was drawn.
        row: y*, of one item.
        model: what was trained, before it has a name.
        verdict: what it gives, with its article; ``verdicts`` of several.
        rate: what it does with an item; ``rated`` and ``asked`` when that is done.
        says: what a hinted draw does that says y*.
        at_lengths: the same at the lengths that the base model writes.
        nothing: what a draw says that says nothing.
        unparsed: what follows from many such draws.
        prior: what one more draw that knows nothing would say.
        score: the name of the number that says how good a run is; ``met`` is it on an axis.
        sure: what the confidence of a prediction is; ``sureness`` says so in a sentence.
        agreed: how the prediction was chosen among DRAWS draws.
        earns: what it does, its number behind it; REWARD is the reward's name; ``once`` of a single draw.
        found: how it decides with several draws, and ``told`` what Python returns of that.
        errs: what it learned that is no truth.
        held: what has to be kept to ask it again.
        tag: what the hub files it under.
    """

    who: str
    said: str
    right: str
    label: str
    none: str
    wrong: str
    constant: str
    shown: str
    row: str = "label"
    model: str = "A judge"
    verdict: str = "a verdict"
    verdicts: str = "verdicts"
    tag: str = "reasoning"
    rate: str = "rate"
    rated: str = "rated"
    asked: str = "judged"
    says: str = ""
    at_lengths: str = ""
    nothing: str = "nothing on offer"
    unparsed: str = ": its log-likelihood is mostly the training marginal's."
    prior: str = "the training marginal"
    score: str = "accuracy"
    met: str = "share that is right"
    sure: str = ""
    sureness: str = ""
    agreed: str = ""
    earns: str = ""
    once: str = ""
    found: str = "averages over several rationales and calibrates"
    told: str = "rating.rating, rating.probabilities"
    errs: str = (
        "It rates as the people of its data did, their errors and tastes included. On other kinds of items, other "
        "languages and other scales nothing is known."
    )
    held: str = (
        "how the judge must be asked: the wording, the levels, the marginals and the calibration, which holds for "
        "these weights and this wording alone."
    )

    def __post_init__(self) -> None:
        usual = {
            "says": f"says {self.right}",
            "at_lengths": f"says {self.right} at the base model's lengths",
            "sure": f"probability of the predicted {self.said}",
        }
        for name, value in usual.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)


JUDGE = Words(
    "judge",
    "level",
    "the people's level",
    "label",
    "no verdict",
    "another level",
    "best single level",
    "shown the label",
    tag="llm-as-a-judge",
)
CHOICE = Words(
    "model",
    "letter",
    "the right letter",
    "right letter",
    "no letter",
    "another letter",
    "best single letter",
    "shown the right letter",
)
OWN = Words(
    "model",
    "level",
    "the right level",
    "right level",
    "no level",
    "another level",
    "best single level",
    "shown the right level",
    model="A model that reasons",
)
OPEN = Words(
    "model",
    "answer",
    "the right answer",
    "right answer",
    "no answer",
    "another answer",
    "most frequent training answer",
    "shown the right answer",
    row="answer",
    model="A model that reasons",
    verdict="an answer",
    verdicts="answers",
    rate="answer",
    rated="answered",
    asked="answered",
    nothing="nothing that could be read",
    unparsed=".",
    prior="any text, byte by byte at random,",
    sure="agreement of the draws",
    sureness="How sure the model is of an item's answer is how far its draws agree with it.",
    agreed="that most of its {draws} draws say",
    earns="is right",
    once="is right",
    found="gives the answer that several draws agree with most",
    told="rating.rating, rating.agreement",
    errs=(
        "It was trained towards the answers of its data, their errors included. On other kinds of items and other "
        "languages nothing is known."
    ),
    held="how the model must be asked: the wording, what an answer is, and what it is worth.",
)
GRADED = replace(
    OPEN,
    right="the given answer",
    label="given answer",
    wrong="too little reward",
    shown="shown the given answer",
    says="earns enough to be accepted",
    at_lengths="reward at the base model's lengths",
    score="mean reward",
    met="mean reward",
    agreed="that its {draws} draws agree with most",
    earns="earns a mean reward ({reward}, 0 to 1) of",
    once="earns",
)
