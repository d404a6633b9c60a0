"""XML -> records: the files of SAF and of SemEval-2013 Task 7, one record per student's answer.

A document with a DTD is rejected before its content is used: only a DTD can declare entities, which could load other
files or expand without bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from rationem.data.file_format import FileFormat
from rationem.data.lines import whole
from rationem.errors import DataError

#: Folders of SemEval with three labels, and with two.
_WAYS = ("3way", "2way")


def read_xml(path: Path, _: FileFormat) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield (number from 1, cells) of every student's answer, with the question's cells in each.

    Raises:
        DataError: the file is not well-formed, has a DTD, or is neither SAF's nor SemEval's.
    """
    root = _tree(path, whole(path))
    if root.tag != "question":
        raise DataError(
            f"{path}: found XML of the kind <{root.tag}>; rationem reads the XML of SAF and of SemEval-2013 Task 7, "
            "<question> with <studentAnswer>s."
        )
    shared = {
        "question_id": root.get("id"),
        "module": root.get("module"),
        "question": _text(root.find("questionText")),
        "reference_answers": [_text(answer) for answer in root.iter("referenceAnswer")],
    }
    ways = next((part for part in reversed(path.parts) if part in _WAYS), None)
    for number, answer in enumerate(root.iter("studentAnswer"), 1):
        if len(answer):
            yield number, {**shared, "id": answer.get("id"), **{child.tag: _text(child) for child in answer}}
        else:
            yield number, {**shared, **answer.attrib, "response": _text(answer), **({"ways": ways} if ways else {})}


def _tree(path: Path, data: bytes) -> Element:
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data

    def refuse(*_: Any) -> None:
        raise DataError(
            f"{path}:{parser.CurrentLineNumber}: the XML has a document type (DTD), which is not allowed: it can load "
            "other files or expand without bound. Remove the line <!DOCTYPE ...>."
        )

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise DataError(f"{path}:{error.lineno}: not well-formed XML: {expat.ErrorString(error.code)}.") from error
    except (LookupError, ValueError) as error:  # Python's errors about the document's encoding
        raise DataError(
            f"{path}: the XML names an unknown encoding: {error}. Save it as UTF-8, with the "
            'first line <?xml version="1.0" encoding="UTF-8"?>.'
        ) from error
    return builder.close()


def _text(element: Element | None) -> str | None:
    """Return all text inside an element, without surrounding spaces and without tags such as a stray <p>."""
    return None if element is None else "".join(element.itertext()).strip()
