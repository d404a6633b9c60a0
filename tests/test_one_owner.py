"""One owner for every fact: outside ``tasks/`` nobody asks what kind a task is. The numbers may only fall."""

import ast
import re
from collections import Counter

from test_structure import FILES, SOURCE, nodes

#: What says which kind a task is: attributes, functions, keywords, keys of a description.
SAY_THE_KIND = {"is_open", "is_choice", "is_graded", "is_own", "two_sided", "calibrates"}
#: Who is asked for ``pair`` and ``choice``, which can be other things elsewhere.
ASKED = {"task", "loaded", "like", "preset", "published", "data", "summary", "results"}
CLASSES = {"JudgeTask", "AnswerTask", "OwnTask", "Open"}
#: What names a task, and inputs and keys that only some tasks have.
NAMES = {"task.kind", "task.name", "config.task", "self.task.name", "summary['task']"}
KEYS = {"criterion", "response", "own", "response_a", "choice_a", "subject", "choice"}
#: Keys for tables of functions; whoever compares one asks for the kind.
TABLE_KEYS = {"items", "estimator", "page", "parts", "measured"}
#: Room -> the questions that are left there; what is not named has none. May only fall.
MOST = {}


def questions(path):
    """Yield (line, form) for every question about a task's kind in a file."""
    for node in nodes(path):
        form = _form(node)
        if form:
            yield getattr(node, "lineno", 0) or node.value.lineno, form
        for test in _tests(node):
            if _levels(test):
                yield test.lineno, "empty levels"


def _form(node):
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name not in {"isinstance", "hasattr", "getattr"}:
            return ""
        about = " ".join(ast.unparse(argument) for argument in node.args)
        if name == "isinstance" and any(word in about for word in CLASSES):
            return "isinstance"
        if name in {"hasattr", "getattr"} and re.match(r"(self\.)?task\b", about):
            return name
    if isinstance(node, ast.Attribute) and node.attr in {*SAY_THE_KIND, "pair", "choice"}:
        of = ast.unparse(node.value)
        known = node.attr in SAY_THE_KIND and of != "metrics"
        return node.attr if known or (node.attr in {"pair", "choice"} and _asked(of)) else ""
    if isinstance(node, ast.Name) and node.id in SAY_THE_KIND and isinstance(node.ctx, ast.Load):
        return node.id
    if isinstance(node, ast.keyword) and node.arg in SAY_THE_KIND:
        return f"{node.arg}="
    if isinstance(node, ast.Subscript) and getattr(node.slice, "value", None) in {*SAY_THE_KIND, "pair", "choice"}:
        return "a key" if _asked(ast.unparse(node.value)) else ""
    return "a comparison" if isinstance(node, ast.Compare) and _of_kind(node) else ""


def _asked(text):
    """Say whether what is asked is a task, or what holds one; an engine's choice is none."""
    return text.split(".")[-1] in ASKED or text == "run"


def _of_kind(node):
    """Say whether a comparison asks for a task's name, or for an input or levels that it may be without."""
    left, right = node.left, ast.unparse(node.comparators[0])
    if isinstance(node.ops[0], ast.In | ast.NotIn) and isinstance(left, ast.Constant):
        return left.value in KEYS
    text = ast.unparse(left)
    if right == "None":
        return False
    of_levels = right in {"[]", "()"} and "levels" in text
    return text in NAMES or _is_key(node) or of_levels or right == "'choice'"


def _is_key(node):
    """Say whether a key for tables is compared with a word."""
    word = isinstance(node.comparators[0], ast.Constant) and isinstance(node.comparators[0].value, str)
    return word and getattr(node.left, "attr", getattr(node.left, "id", "")) in TABLE_KEYS


def _tests(node):
    """Yield what a node takes as true or false."""
    if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
        yield node.test
    elif isinstance(node, ast.BoolOp):
        yield from node.values
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.comprehension):
        yield from node.ifs
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "bool":
        yield from node.args


def _levels(test):
    """Say whether a truth value is that of a task's levels."""
    if not isinstance(test, ast.Name | ast.Attribute | ast.Subscript):
        return False
    text = ast.unparse(test)
    return text == "levels" or text.endswith((".levels", "['levels']"))


def test_nobody_outside_tasks_asks_what_kind_a_task_is():
    found = Counter()
    for path in FILES:
        found[path.relative_to(SOURCE).parts[0]] += len(set(questions(path)))
    assert found.pop("tasks")  # and the reader of questions reads them
    assert {where: count for where, count in found.items() if count > MOST.get(where, 0)} == {}
    lower = {where: count for where, count in MOST.items() if found[where] < count}
    assert lower == {}, f"fewer questions than allowed; lower MOST to {dict(found)}"
