"""Dates in a rating column: a spreadsheet makes them of cells such as 2-3 or 3/4, so no date is a rating."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SHOWN = 3
#: The first letters of the months' names, in the languages of ``ladders_elsewhere`` too; whole names may follow.
_MONTHS = (
    *("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    *("jän", "mär", "mrz", "mai", "okt", "dez", "fév", "fev", "avr", "juin", "juil", "aoû", "déc"),
    *("ene", "abr", "ago", "dic", "gen", "giu", "lug", "ott", "mrt", "mei"),
)
_LONG = (
    *("january", "february", "march", "april", "june", "july", "august", "september", "sept", "october"),
    *("november", "december", "januar", "jänner", "februar", "märz", "juni", "juli", "oktober", "dezember"),
    *("janvier", "janv", "février", "févr", "mars", "avril", "juillet", "août", "septembre", "octobre", "novembre"),
    *("décembre", "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre"),
    *("noviembre", "diciembre", "gennaio", "febbraio", "aprile", "maggio", "giugno", "luglio", "settembre"),
    *("ottobre", "dicembre", "janeiro", "fevereiro", "março", "maio", "junho", "julho", "setembro", "outubro"),
    *("novembro", "dezembro", "januari", "februari", "maart", "augustus"),
)
_MONTH = rf"(?:{'|'.join(sorted((*_MONTHS, *_LONG), key=len, reverse=True))})\.?"
_BETWEEN, _YEAR = r"[\s./,-]{1,2}", r"(?:'?[0-9]{2}|[0-9]{4})"
_TIME = r"(?:[T ]+[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:\s*[ap]m|Z|[+-][0-9:]{2,6})?)?"
_DATE = re.compile(
    rf"(?:[0-9]{{1,4}}{_BETWEEN}{_MONTH}(?:{_BETWEEN}{_YEAR})?"
    rf"|{_MONTH}{_BETWEEN}[0-9]{{1,4}}(?:{_BETWEEN}{_YEAR})?"
    rf"|[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}"
    rf"|[0-9]{{1,2}}([./-])[0-9]{{1,2}}\1[0-9]{{4}}){_TIME}",
    re.I,
)


def is_date(text: str) -> bool:
    """Say whether a text is a date: with a month's name, ISO, or of three numbers with the year last.

    >>> [is_date(text) for text in ("3-Feb", "Feb-03", "2. März", "2024-05-01 00:00:00", "3/4/2024")]
    [True, True, True, True, True]
    >>> [is_date(text) for text in ("3-4", "3/4", "4 - maybe", "2024")]
    [False, False, False, False]
    """
    return _DATE.fullmatch(text.strip()) is not None


def on_dates(values: Iterable[str]) -> str:
    """Return a sentence on the dates among values; "" if there are none.

    >>> on_dates(["3-Feb", "4"])[:27]
    "'3-Feb' is a date, and a da"
    """
    found = [value for value in dict.fromkeys(values) if is_date(value)]
    if not found:
        return ""
    shown = ", ".join(map(repr, found[:_SHOWN])) + (", ..." if len(found) > _SHOWN else "")
    are = "is a date" if len(found) == 1 else "are dates"
    return (
        f"{shown} {are}, and a date is no rating: a spreadsheet seems to have made dates of cells such as 2-3 or 3/4. "
        "Format the column as text there, and enter these cells again. "
    )
