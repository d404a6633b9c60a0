"""The pages: what is generated is current, figures can be read on a dark background, links lead somewhere."""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
sys.path.insert(0, str(ROOT / "tools"))
import reference  # noqa: E402  (a script beside the package)


def test_the_reference_of_the_command_line_is_current():
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "run `make reference`"


def test_every_setting_is_in_the_reference_under_its_flag():
    from rationem.config import FitConfig, flag_of

    page = reference.PAGE.read_text(encoding="utf-8")
    assert all(f"| `{flag_of(name)}` |" in page for name in FitConfig.model_fields if name != "data")


def test_figures_follow_the_readers_background():
    figures = sorted(DOCS.rglob("*.svg"))
    assert figures
    for figure in figures:
        text = figure.read_text(encoding="utf-8")
        assert "prefers-color-scheme: dark" in text, figure
        for ink in ("#000000", "#1f2430", "#ffffff"):
            for kind in ("fill", "stroke"):
                used = re.search(f'style="[^"]*{kind}: {ink}', text)
                assert not used or f'[style*="{kind}: {ink}"]' in text, (figure, kind, ink)


def test_links_between_pages_lead_to_a_file():
    pages = [*DOCS.rglob("*.md"), *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"))]
    dead = [
        (page.name, target)
        for page in pages
        for target in re.findall(
            r"\]\(([^)#\s]+)", re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
        )
        if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists()
    ]
    assert not dead


def test_the_readme_is_read_in_minutes():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert len(" ".join(lines).split()) <= 900


def test_every_page_is_in_the_menu_of_the_site():
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if path.parent.name != "decisions"]
    assert pages
    assert [name for name in pages if f": {name}\n" not in menu] == []


def test_the_commands_of_the_first_steps_are_those_that_are_run():
    import first_steps

    shown = (ROOT / "README.md").read_text(encoding="utf-8").partition(first_steps.BEGIN)[2]
    assert [line[2:] for line in shown.partition(first_steps.END)[0].splitlines() if line.startswith("$ ")] == list(
        first_steps.STEPS
    )


def test_the_notebooks_were_run_to_their_end_and_show_no_error():
    notebooks = sorted((ROOT / "examples").glob("*.ipynb"))
    assert len(notebooks) == 2
    for path in notebooks:
        cells = [one for one in json.loads(path.read_text(encoding="utf-8"))["cells"] if one["cell_type"] == "code"]
        assert [one["execution_count"] for one in cells] == list(range(1, len(cells) + 1)), path
        kinds = {output["output_type"] for one in cells for output in one["outputs"]}
        assert kinds <= {"stream", "execute_result", "display_data"}
