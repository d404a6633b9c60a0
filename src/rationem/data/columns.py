"""The user's columns: which one holds the prompt, the response, the rating; and a careful guess if none is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Any

from rationem.data.lines import MARK
from rationem.data.named_twice import check_once, parts
from rationem.data.nested import column_names, deepest, is_path
from rationem.data.records import Row
from rationem.errors import ConfigError, DataError, closest

#: Alternative names of a role, used if the role's own name is missing and exactly one of them occurs.
SYNONYMS = {
    "prompt": ("question", "instruction", "input", "query"),
    "response": ("answer", "output", "completion", "reply", "model response", "model_response", "model_output"),
    "rating": ("score", "label", "grade", "human_rating", "human_score"),
}

#: Names of a text that is rated without a prompt.
_TEXTS = (
    "text",
    "comment",
    "essay",
    "review",
    "post",
    "message",
    "sentence",
    "tweet",
    "document",
    "summary",
    "content",
)

#: For multiple choice: role -> default column names, in order of preference.
CHOICE_NAMES = {
    "prompt": ("question", "prompt", "question_stem", "input"),
    "choices": ("choices", "options"),
    "answer": ("answer", "answerkey", "answer_key", "key", "label", "target"),
}


#: Roles with several columns, as (purpose, column).
_PAIRS = ("criteria", "inputs", "optional")
#: Holds the place of the prompt while other columns are guessed.
_NO_COLUMN = "\0"
#: Roles with one name, which may list several columns.
_ROLES = (
    *("prompt", "response", "rating", "id", "group", "reference", "context", "rater", "choices", "subject", "weight"),
    "criterion",
)
#: The role of the column that names a row's criterion.
ITS_CRITERION = "criterion's name"
#: Roles with their own flag.
_FLAGS = (
    *("prompt", "response", "rating", "choices", "answer", "subject", "reference", "context", "id", "group", "rater"),
    "weight",
)


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the user's columns. No other column is read, and no rating can be an input.

    ``annotation.rating`` is the column of that name, or else the key "rating" of the object in "annotation".

    Args:
        prompt: the question, or the text that the response answers; "" if texts are rated, or compared, without one.
        response: the rated text, or the compared ones, "a,b" or "a,b,c".
        rating: the human rating; a cell may hold a list of ratings, or several columns are named "r1,r2,r3".
        id: a unique name for the row; None numbers the rows.
        group: rows of one group stay in the same split; None groups by the prompt.
        reference: a reference answer, shown to the judge if the row has one.
        context: a context, shown to the judge if the row has one.
        rater: the rater, if every rating has its own row.
        choices: for multiple choice: a column with all choices, or one column per choice, "a,b,c"; then there is no
            response, and ``rating`` is the correct answer.
        subject: for multiple choice, the item's subject.
        criteria: (criterion, its rating column); empty for one criterion without a name, read from ``rating``.
        inputs: for a task with open answers, (field, column) of its inputs; then ``prompt``, ``response`` and
            ``context`` are not read, and ``rating`` is the correct answer.
        optional: the same for fields that a row may lack.
        weight: the row's weight in training, a positive number.
        criterion: names the criterion of each row's rating, if each has its own row; then all criteria are read from
            ``rating``.

    Raises:
        ConfigError: a rating, criterion or rater column is also named as an input, which would show the model its
            answer; or a criterion, or a column, is named twice.
    """

    prompt: str = "prompt"
    response: str = "response"
    rating: str = "rating"
    id: str | None = None
    group: str | None = None
    reference: str | None = None
    context: str | None = None
    rater: str | None = None
    choices: str | None = None
    subject: str | None = None
    criteria: tuple[tuple[str, str], ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()
    optional: tuple[tuple[str, str], ...] = ()
    weight: str | None = None
    criterion: str | None = None

    def __post_init__(self) -> None:
        names = [name for name, _ in self.criteria]
        if len(set(names)) != len(names):
            raise ConfigError(f"A criterion is given twice: {names}.")
        asked = self.response if self.choices is None else self.choices
        inputs = {self.prompt, asked, *parts(asked), self.reference, self.context, self.subject}
        if self.inputs:
            inputs = {column for _, column in (*self.inputs, *self.optional)}
        rated = {self.rating, *(column for _, column in self.criteria)}
        apart = {self.rater, self.weight}
        hidden = {*apart, *rated, *(part for column in rated for part in parts(column))} - {None, ""}
        check_once(self)
        if leaked := sorted(str(name) for name in inputs & hidden):
            what = "answer" if self.inputs or self.choices else "rating"
            what = "weight" if leaked[0] == self.weight else what
            raise ConfigError(f"The {what} column {leaked[0]!r} is also named as an input: a model would read it.")

    def ratings(self, available: Collection[str], criterion: str = "") -> tuple[str, ...]:
        """Return a criterion's rating columns: the name itself if it is a column, else its parts between commas."""
        name = dict(self.criteria)[criterion] if self.criteria else self.rating
        return (name,) if name in available else parts(name)

    @property
    def items(self) -> str:
        """How an item is laid out, as ``Task.items`` says it."""
        return "inputs" if self.inputs else "responses" if self.choices is None else "choices"

    def items_per_row(self, available: Collection[str]) -> int:
        """Return how many responses are compared; 1 if one is rated, or there is none."""
        return {"responses": len(self.responses(available))}.get(self.items, 1)

    def responses(self, available: Collection[str]) -> tuple[str, ...]:
        """Return the response's column or columns: "a,b" is split unless a column has that whole name."""
        several = parts(self.response)
        return several if self.response not in available and len(several) > 1 else (self.response,)

    def choice_columns(self, available: Collection[str]) -> tuple[str, ...]:
        """Return the choices' column or columns: "a,b" is split unless a column has that whole name."""
        whole = self.choices or ""
        return (whole,) if whole in available else parts(whole)

    @property
    def dotted(self) -> tuple[str, ...]:
        """All names with a dot, whole and split at commas: they may refer to a key of an object."""
        roles = (self.prompt, self.response, self.rating, self.id, self.group, self.reference, self.context, self.rater)
        own = (column for _, column in (*self.inputs, *self.optional))
        more = (self.choices, self.subject, self.weight, self.criterion, *own)
        whole = [name for name in (*roles, *more, *(column for _, column in self.criteria)) if name and is_path(name)]
        return tuple(dict.fromkeys([*whole, *(part for name in whole for part in parts(name) if is_path(part))]))

    def asks(self, available: Collection[str]) -> tuple[tuple[str, str], ...]:
        """Return (role, column name) of the columns that judging a row needs."""
        if self.inputs:
            return self.inputs
        if self.choices is not None:
            return (("prompt", self.prompt), *(("choices", name) for name in self.choice_columns(available)))
        asked = (("prompt", self.prompt),) if self.prompt else ()
        return (*asked, *(("response", name) for name in self.responses(available)))

    def needed(self, available: Collection[str]) -> tuple[tuple[str, str], ...]:
        """Return (role, column name) of the columns that training on a row needs."""
        role = "criterion" if self.criteria else "answer" if self.inputs or self.choices else "rating"
        rated = [(role, name) for criterion in self.criterion_names for name in self.ratings(available, criterion)]
        roles = ("reference", "context", "id", "group", "rater", "subject", "weight")
        others = [(role, getattr(self, role)) for role in roles]
        others.append((ITS_CRITERION, self.criterion))
        named = ((role, name) for role, name in others if name is not None)
        return (*self.asks(available), *self.optional, *rated, *named)

    @property
    def criterion_names(self) -> tuple[str, ...]:
        """The names of the criteria; one empty name if the only criterion has none."""
        return tuple(name for name, _ in self.criteria) or ("",)

    def rated_in(self, cells: Mapping[str, object]) -> tuple[str, ...]:
        """Return the criteria that a row has ratings for: all, or the one that it names; none if it names another."""
        if self.criterion is None:
            return self.criterion_names
        named = str(cells.get(self.criterion)).strip()
        return (named,) if named in self.criterion_names else ()

    def to_dict(self) -> dict[str, Any]:
        """Return the columns as JSON; :meth:`from_dict` reads it."""
        return asdict(self) | {name: [list(pair) for pair in getattr(self, name)] for name in _PAIRS}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Columns:
        """Return the columns from the result of ``to_dict``.

        Raises:
            ConfigError: a role is unknown.
        """
        known = [field.name for field in fields(cls)]
        for role in content:
            if role not in known:
                raise ConfigError(f"There is no column role {role!r}.{closest(role, known)} Known: {known}.")
        pairs = {name: tuple((one, column) for one, column in content.get(name, ())) for name in _PAIRS}
        return cls(**{**content, **pairs})


def check_columns(row: Row, needed: Sequence[tuple[str, str]], offered: Callable[[], str] = str) -> None:
    """Raise a DataError that names all missing columns, the closest names, and the row's columns.

    Args:
        offered: returns a sentence on what could be the rating, if the rating is missing.
    """
    lacking = [(role, name) for role, name in dict.fromkeys(needed) if name not in row.cells]
    if not lacking:
        return
    told = " ".join(_lacking(row, role, name) for role, name in lacking)
    flags = dict.fromkeys(flag_of(role) for role, _ in lacking)
    which = f"the column of the {lacking[0][0]}" if len(lacking) == 1 else "their columns"
    usual = {name.strip().casefold() for name in row.cells} & set(CHOICE_NAMES["choices"])
    asked = usual and {("response", "response"), ("rating", "rating")} & set(lacking)
    other = " If this is multiple choice, use `--task choice`." if asked else ""
    if ("rating", "rating") in lacking and (could := offered()):
        other = could
    elif not asked and ("rating", "rating") in lacking:
        other = (
            " If nothing is rated and the correct answers are numbers or texts, use `--task math`, `--task "
            "summarize`, or your own task (docs/open-answers.md)."
        )
    raise DataError(
        f"{row.source}: {told[0].lower()}{told[1:]} The columns are {list(row.cells)}. "
        f"Name {which}: `{' '.join(flags)}`.{other}"
    )


def flag_of(role: str) -> str:
    """Return the flag that names a role's column."""
    if role in ("criterion", ITS_CRITERION):
        return "--criterion NAME" if role == "criterion" else "--criterion-col NAME"
    return f"--{role}-col NAME" if role in _FLAGS else f"--inputs-col {role}=NAME"


def _lacking(row: Row, role: str, name: str) -> str:
    text = f"There is no column {name!r} for the {role}."
    if inside := deepest(row.cells, name):
        start, keys = inside
        return f"{text} {start!r} has the keys {keys}.{closest(name, [f'{start}.{key}' for key in keys])}"
    several = [one for one in row.cells if re.fullmatch(rf"{re.escape(name)}[ _-]?[a-z0-9]", one, re.IGNORECASE)]
    if role == "response" and len(several) > 1:
        return f"{text} If {' and '.join(map(repr, several))} are compared: `--response-col {','.join(several)}`."
    none = " If there is none: `--prompt-col none`." if (role, name) == ("prompt", "prompt") else ""
    return f"{text}{closest(name, column_names(row.cells))}{none}"


def guess(
    names: Collection[str], criteria: Sequence[tuple[str, str]] = (), named: Columns | None = None
) -> tuple[Columns, dict[str, str]]:
    """Return a file's columns, and (role, column) of the guessed ones.

    A role that the user does not name gets the column of its own name, else the only one with that name in another
    case, else the only synonym. A role that fits no column or several keeps its own name, and the missing column is an
    error later. If nothing can be the prompt, one text is rated: the response, or the only column named like a text.

    Args:
        names: the file's columns.
        criteria: (criterion, its rating column).
        named: the user's columns, "" where a role is open; None if none is named.

    >>> guess(["Question ", "answer", "label", "score"], named=Columns("", "", "label"))[1]
    {'response': 'answer', 'prompt': 'Question '}
    >>> guess(["text", "label"])[0].response, guess(["text", "label"])[0].prompt
    ('text', '')
    """
    columns = named or Columns("", "", "", criteria=tuple(criteria))
    guessed: dict[str, str] = {}
    taken = _named(columns)
    for role in ("rating", "response", "prompt") if not columns.criteria else ("response", "prompt"):
        if getattr(columns, role):
            continue
        found = [role] if role in names else _fitting(role, [name for name in names if name not in taken])
        taken |= set(found[:1]) if len(found) == 1 else set()
        if len(found) == 1 and found != [role]:
            guessed[role] = found[0]
        columns = replace(columns, **{role: found[0] if len(found) == 1 else role})  # type: ignore[arg-type]
    if (alone := _only_text(columns, names, taken)) is not None:
        guessed |= {"response": alone} if alone != columns.response else {}
        return replace(columns, prompt="", response=alone), guessed
    return columns, guessed


def _fitting(role: str, free: Sequence[str]) -> list[str]:
    same = [name for name in free if _folded(name) == role]
    return same or [name for name in free if _folded(name) in SYNONYMS[role]]


def _only_text(columns: Columns, names: Collection[str], taken: Collection[str]) -> str | None:
    """Return the column of the text that is rated without a prompt, or those of the texts that are compared; None if
    there is a prompt, or could be one.
    """
    if columns.prompt in names or columns.prompt != "prompt" or columns.inputs or columns.choices is not None:
        return None
    free = [name for name in names if name not in taken]
    if closest("prompt", free) or _fitting("prompt", free):
        return None
    texts, several = _texts(free), columns.responses(names)
    if len(several) > 1:
        return None if texts or not set(several) <= set(names) else columns.response
    if columns.response in names:
        return None if texts else columns.response  # one of them may be the prompt
    return texts[0] if columns.response == "response" and len(texts) == 1 else None


def guess_alone(names: Collection[str], named: Columns) -> tuple[Columns, dict[str, str]]:
    """Return the columns of texts that are rated without a prompt, as the user says, and the guessed ones."""
    columns, guessed = guess(names, named=replace(named, prompt=_NO_COLUMN))
    texts = _texts([name for name in names if name not in _named(columns)])
    if not named.response and columns.response not in names and len(texts) == 1:
        columns, guessed = replace(columns, response=texts[0]), {**guessed, "response": texts[0]}
    return replace(columns, prompt=""), guessed


def _texts(names: Sequence[str]) -> list[str]:
    return [name for name in names if _folded(name) in _TEXTS]


def fitted(columns: Columns, names: Collection[str]) -> Columns:
    """Return the columns with the file's own names: case, and blanks around them, do not matter.

    >>> fitted(Columns("Prompt", "a, B", "SCORE"), ["prompt ", "A", "b", "Score"]).response
    'A,b'
    """
    one = partial(own_name, names=names)

    def own(name: str) -> str:
        return name if name in names else one(name) if one(name) in names else ",".join(map(one, parts(name)))

    single = {role: own(value) for role in _ROLES if (value := getattr(columns, role))}
    pairs = {name: tuple((key, own(column)) for key, column in getattr(columns, name)) for name in _PAIRS}
    return replace(columns, **single, **pairs)  # type: ignore[arg-type]


def own_name(name: str, names: Collection[str]) -> str:
    """Return a file's own name of a column: case, and blanks around it, do not matter; as given if none or several fit.

    >>> own_name("item", ["Item ", "score"]), own_name("a", ["A", "A "])
    ('Item ', 'a')
    """
    found = [] if name in names else [one for one in names if _folded(one) == _folded(name)]
    return found[0] if len(found) == 1 else name


def _named(columns: Columns) -> set[str]:
    """Return the columns that are named, whole and split at commas."""
    whole = {value for role in _ROLES if (value := getattr(columns, role))}
    whole |= {column for name in _PAIRS for _, column in getattr(columns, name)}
    return whole | {part for name in whole for part in parts(name)}


def _folded(name: str) -> str:
    return " ".join(name.lstrip(MARK).split()).casefold()


def guess_choice(names: Collection[str]) -> tuple[Columns, dict[str, str]]:
    """Return a multiple-choice file's columns if the user named none, and (role, column) of the guessed ones.

    Like :func:`guess`; a role that fits no column or several keeps its first default name, an error later.
    """
    found = {role: _only(names, usual) for role, usual in CHOICE_NAMES.items()}
    columns = Columns(prompt=found["prompt"], choices=found["choices"], rating=found["answer"])
    return columns, {role: name for role, name in found.items() if name in names and name != CHOICE_NAMES[role][0]}


def _only(names: Collection[str], usual: Sequence[str]) -> str:
    folded = {name.strip().casefold(): name for name in names}
    fitting = [folded[name] for name in usual if name in folded]
    return usual[0] if usual[0] in names or len(fitting) != 1 else fitting[0]
