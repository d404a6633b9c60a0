"""The tasks' own demonstrations: a handful per kind of task, written for this program, about nothing in any data.

They show the form of an answer and no taste. They fit the user's scale by position: the lowest level, the highest, and
the middle one where there is one. Each has a reference answer where the item that is asked has one.
"""

from __future__ import annotations

from collections.abc import Sequence

from rationem.tasks import choices, pairs
from rationem.tasks.demonstration import Demonstration
from rationem.tasks.scale import Scale
from rationem.types import Fields

#: (question, reference answer, response, how good it is: 0, .5 or 1, rationale).
_RATED = (
    (
        "What do you need to bake bread?",
        "Flour, water and heat.",
        "You take flour and water and put it in a hot oven.",
        1.0,
        "The response names flour and water, and a hot oven gives the heat.",
    ),
    (
        "Why do people knock before they open a door?",
        "So that those inside know that someone is coming.",
        "Because doors are made of wood.",
        0.0,
        "What doors are made of does not say why people knock: to let those inside know.",
    ),
    (
        "What is a map for?",
        "It shows where places are and how to get there.",
        "It shows places.",
        0.5,
        "The response says that a map shows places, but not how to get there.",
    ),
    (
        "Why do shops write their opening hours on the door?",
        "So that people know when they can come in.",
        "You can see when the shop is open.",
        1.0,
        "Seeing when the shop is open means knowing when one can come in.",
    ),
    (
        "How do you find a word in a dictionary?",
        "The words are in the order of the alphabet.",
        "You count the pages.",
        0.0,
        "Counting pages does not lead to a word: the words are in the order of the alphabet.",
    ),
    (
        "Why do houses have numbers?",
        "So that letters and visitors find the right house.",
        "For the letters.",
        0.5,
        "The response names letters, but it leaves out visitors.",
    ),
    (
        "What does a waiter do?",
        "A waiter takes orders and brings food.",
        "He asks what you want and serves it.",
        1.0,
        "Asking what you want is taking the order, and serving it is bringing the food.",
    ),
    (
        "Why do people write shopping lists?",
        "So that they forget nothing.",
        "The shop is far away.",
        0.0,
        "How far the shop is does not explain the list: it helps to forget nothing.",
    ),
)

#: (question, reference answer, what is right, what is wrong): compared, the right one is better.
_COMPARED = (
    ("Name an animal that can fly.", "A swallow.", "A swallow.", "A trout.", "a swallow flies and a trout swims"),
    ("Which is longer, a day or an hour?", "A day.", "A day.", "An hour.", "a day has 24 hours"),
    ("What is frozen water called?", "Ice.", "Ice.", "Steam.", "steam is hot water, and ice is frozen"),
    ("Where do fish live?", "In water.", "In water.", "In trees.", "fish live in water"),
)

#: (question, what is right, why); the other choices are things of :data:`_THINGS`.
_CHOSEN = (
    ("Which of these is an animal?", "a fox", "A fox is an animal. The other choices are things."),
    ("Which of these can be eaten?", "bread", "Bread is food. People do not eat the other choices."),
    ("Which of these grows in a garden?", "a rose", "A rose is a plant. The other choices do not grow."),
    ("Which of these falls from the sky?", "rain", "Rain falls from clouds. The other choices are things in a house."),
)
_THINGS = (
    *("a spoon", "a ladder", "a lamp", "a chair", "a hammer", "a bucket", "a mirror", "a drawer", "a candle"),
    *("a pillow", "a kettle", "a clock", "a shelf", "a rope", "a comb", "a broom", "a pencil", "a hinge", "a bolt"),
    *("a carpet", "a saucer", "a wheel", "a button", "a needle", "a ribbon", "a curtain"),
)

#: (question, number, rationale).
_SUMS = (
    (
        "Ann has 3 bags with 4 apples each and finds 2 more apples. How many apples has she?",
        "14",
        "3 bags of 4 apples are 12 apples. 12 + 2 = 14.",
    ),
    (
        "A train has 5 cars with 20 seats each. 30 seats are taken. How many are free?",
        "70",
        "5 cars of 20 seats have 100 seats. 100 - 30 = 70.",
    ),
    ("Tom reads 6 pages a day. How many pages does he read in a week?", "42", "A week has 7 days. 7 x 6 = 42."),
    (
        "A rope of 24 metres is cut into 4 equal pieces. How long is one piece, in metres?",
        "6",
        "24 metres in 4 pieces: 24 / 4 = 6.",
    ),
)

#: (text, summary, rationale).
_SUMMARIES = (
    (
        "The bridge on Mill Road is closed from Monday for repairs. Buses take the road by the river until it opens "
        "again in two weeks.",
        "Mill Road bridge is closed for two weeks; buses go by the river.",
        "What matters is the closed bridge, how long, and what buses do. The reason can be left out.",
    ),
    (
        "Our library has bought forty new children's books. They stand on the first floor beside the stairs and can be "
        "borrowed from today.",
        "Forty new children's books can be borrowed from the library.",
        "What matters is that there are new books to borrow. Where they stand can be left out.",
    ),
    (
        "Last night's storm broke a window of the school. All were unhurt, and lessons begin at eight as always.",
        "A storm broke a school window; lessons go on as usual.",
        "What matters is the damage and that lessons go on. The hour can be left out.",
    ),
    (
        "I planted beans in May. It hardly rained in June, so I watered them each evening, and in August we ate the "
        "first of them.",
        "The beans I planted in May and watered through a dry June were ready in August.",
        "What matters is how the beans came through the dry month. The evenings can be left out.",
    ),
)


def rated(scale: Scale, fields: Fields) -> tuple[Demonstration, ...]:
    """Return rated responses; none on a scale without an order, whose levels say nothing about how good one is."""
    if not scale.ordered or "prompt" not in fields:
        return ()
    top, found = len(scale.levels) - 1, []
    for question, reference, response, quality, why in _RATED:
        if quality == 0.5 and top % 2:
            continue
        asked = _beside(fields, question, reference) | {"response": response}
        found.append((asked, scale.levels[round(quality * top)], why))
    return _named(found)


def compared(scale: Scale, fields: Fields, count: int) -> tuple[Demonstration, ...]:
    """Return comparisons of so many responses, the best at each place in turn; none of texts without a prompt."""
    if "prompt" not in fields:
        return ()
    called, found = pairs.names_of(scale, count), []
    for number, (question, reference, right, wrong, why) in enumerate(_COMPARED):
        best = number % count
        others = [wrong, *(f"I do not know ({n})." for n in range(1, count))]
        texts = [right if place == best else others.pop(0) for place in range(count)]
        asked = _beside(fields, question, reference) | dict(zip(pairs.fields_of(count), texts, strict=True))
        level = scale.levels[(0, -1)[best]] if scale.ordered else scale.levels[best]
        found.append((asked, level, f"Response {called[best]} is right: {why}."))
    return _named(found)


def chosen(scale: Scale, fields: Fields) -> tuple[Demonstration, ...]:
    """Return multiple choice with as many choices as the item has, the right one at each place in turn."""
    count, found = len(choices.letters(fields)), []
    for number, (question, right, why) in enumerate(_CHOSEN):
        place = number % count if count else 0
        others = [*_THINGS[5 * number :], *_THINGS[: 5 * number]][: count - 1]
        texts = [*others[:place], right, *others[place:]]
        asked = {"prompt": question, **choices.fields_of(texts, ["?"] * count)}
        found.append((asked, scale.levels[place], why))
    return _named(found) if count else ()


def answered(name: str) -> tuple[Demonstration, ...]:
    """Return numbers ("number") or summaries ("summary")."""
    several = {"number": _SUMS, "summary": _SUMMARIES}[name]
    return _named([({"prompt": text}, answer, why) for text, answer, why in several])


def _beside(fields: Fields, question: str, reference: str) -> dict[str, str]:
    """Return the question, with a reference answer and a criterion where the item has them."""
    told = {"prompt": question}
    if fields.get("reference"):
        told["reference"] = reference
    return told | {name: fields[name] for name in ("criterion",) if name in fields}


def _named(several: Sequence[tuple[Fields, str, str]]) -> tuple[Demonstration, ...]:
    return tuple(
        Demonstration(f"task {n}", fields, answer, why) for n, (fields, answer, why) in enumerate(several, start=1)
    )
