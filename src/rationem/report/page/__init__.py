"""``report.html``: one file that opens offline, made from run directories alone; its texts are escaped."""

from __future__ import annotations

from rationem.report.page.nouns import Section
from rationem.report.page.write import write_page
from rationem.report.part import Figure

__all__ = ["Figure", "Section", "write_page"]
