"""Install the wheel of dist/ without dependencies over this environment, in a temporary one, and try it there.

    python tools/check_dist.py

The temporary environment sees what is installed here, except the package itself: it finds that in the wheel alone.
"""

import os
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
from pathlib import Path

DIST = Path(__file__).resolve().parents[1] / "dist"
#: A module of each kind of file that a wheel must hold beside code: texts, weights, templates, pages.
DATA = ("world/words.txt", "world/weights", "tasks/prompts", "report/page/page.html", "py.typed")
HOLDS = f"""
import pathlib, rationem
home = pathlib.Path(rationem.__file__).parent
print(home)
assert "venv" in home.parts
missing = [name for name in {DATA!r} if not (home / name).exists()]
assert not missing, missing
"""


def only(pattern: str) -> Path:
    found = sorted(DIST.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"dist/ holds {len(found)} files {pattern}, not one: run make dist.")
    return found[0]


def main() -> None:
    wheel, sdist = only("*.whl"), only("*.tar.gz")
    with tarfile.open(sdist) as held:
        names = {name.partition("/")[2] for name in held.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "src/rationem/em.py"} <= names, "the sdist lacks files"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        venv.create(place / "venv", with_pip=False)
        python = place / "venv" / "bin" / "python"
        site = Path(sysconfig.get_path("purelib", vars={"base": str(place / "venv")}))
        alone = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
        subprocess.run([*pip, str(wheel)], check=True, env=alone)
        # A path in a .pth file is searched last, and its own .pth files (the editable install) are not read.
        (site / "here.pth").write_text(sysconfig.get_path("purelib") + "\n")
        command, alone = (
            ["-m", "rationem.cli"],
            {key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        )
        rated = ["check", "ratings.csv", "--scale", "1-5", "--rater-col", "rater", "--json"]
        for arguments in (["-c", HOLDS], [*command, "--version"], [*command, "demo", "ratings"], [*command, *rated]):
            said = subprocess.run([python, "-P", *arguments], check=True, cwd=place, env=alone, stdout=subprocess.PIPE)
            print(said.stdout.decode().splitlines()[0])
        subprocess.run([python.with_name("rationem"), "--version"], check=True, env=alone, stdout=subprocess.DEVNULL)
    print(f"{wheel.name} and {sdist.name} are complete.")


if __name__ == "__main__":
    main()
