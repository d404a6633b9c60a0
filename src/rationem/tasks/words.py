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
        meets: what it does where it gives y*.
        label: y*, over a column.
        none: what there is where nothing could be read.
        wrong: what a draft states that was not accepted.
        constant: the name of the baseline that always gives the same answer; of levels, the best one for the scored
            items.
        shown: how a hinted draft was drawn.
        row: y*, of one item.
        model: what was trained, before it has a name.
        verdict: what it gives, with its article; ``verdicts`` of several.
        rate: what it does with an item; ``rated`` and ``asked`` when that is done.
        says: what a hinted draft does that states y*.
        at_lengths: the same at the lengths that the base model writes.
        nothing: what a draft states whose answer cannot be read.
        unparsed: the consequence of many such drafts.
        prior: the distribution of one more draft without information.
        score: the name of the leading metric; ``met`` is its name on an axis.
        sure: what the confidence of a prediction is; ``sureness`` says so in a sentence.
        agreed: how the prediction was chosen among DRAWS draws.
        earns: what it does, followed by its number; REWARD is the reward's name; ``once`` of a single draw.
        found: how it decides with several drafts; ``told``: what Python returns of that.
        errs: what it learned that need not be true.
        held: what has to be kept to prompt it again.
        tag: its category on the hub.
    """

    who: str
    said: str
    right: str
    label: str
    none: str
    wrong: str
    constant: str
    shown: str
    meets: str = "is right"
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
    nothing: str = "none of the levels"
    unparsed: str = ": its log-likelihood mostly reflects the training marginal."
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
        "It rates as the people in its data did, with their errors and tastes. How well it works on other kinds of "
        "items, other languages or other scales is unknown."
    )
    held: str = (
        "how the judge must be prompted: the wording, the levels, the marginals and the calibration, which is valid "
        "only for these weights and this wording."
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
    meets="agrees with people",
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
    nothing="nothing readable",
    unparsed=".",
    prior="any text, byte by byte at random,",
    sure="agreement of the draws",
    sureness="The model's confidence in an item's answer is the agreement of its drafts with it.",
    agreed="that most of its {draws} draws say",
    earns="is right",
    once="is right",
    found="gives the answer that several draws agree with most",
    told="rating.rating, rating.agreement",
    errs=(
        "It was trained towards the answers in its data, with their errors. How well it works on other kinds of "
        "items or other languages is unknown."
    ),
    held="how the model must be prompted: the wording, the form of an answer, and its reward.",
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
