"""``report.html``: one file that opens offline, made from run directories alone; its texts are escaped."""

from __future__ import annotations

from rationem.report.page.write import write_page

__all__ = ["write_page"]
