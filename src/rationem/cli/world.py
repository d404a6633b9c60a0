"""rationem world: the embedded models and the world they come from."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from rationem import progress
from rationem.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Add the flags."""
    parser.add_argument("model", nargs="*", help="which ones (default: tiny-judge)")
    parser.add_argument("--rebuild", action="store_true", help="train them on this machine, into the cache")
    parser.add_argument("--examples", type=int, metavar="N", help="write N examples as a CSV file to --output")
    parser.add_argument("--seed", type=int, default=0, help="seed (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, help="the CSV file")
    parser.examples("rationem world", "rationem world --examples 200 -o world.csv", "rationem world --rebuild")


def run(options: Namespace) -> int:
    """Run the command; return its exit code."""
    from rationem import data, world
    from rationem.engines import models
    from rationem.errors import ConfigError, closest

    progress.show(progress.Rich())
    if options.examples is not None:
        if options.output is None:
            raise ConfigError("--examples needs --output FILE.csv.")
        if options.examples < 1:
            raise ConfigError(f"--examples {options.examples}: give at least 1.")
        if not options.output.parent.is_dir():
            raise ConfigError(f"--output {options.output}: there is no directory {options.output.parent}.")
        data.write_csv(options.output, world.examples(options.examples, seed=options.seed))
        progress.out(f"{options.examples} examples in {options.output}")
        return 0
    asked = bool(options.model)
    names = options.model or [models.TINY_JUDGE]
    for name in names:
        if name not in models.EMBEDDED:
            near = closest(name, models.EMBEDDED)
            raise ConfigError(f"There is no embedded model {name!r}.{near} Known: {', '.join(models.EMBEDDED)}.")
        place = models.EMBEDDED[name].find(name, seed=options.seed, rebuild=options.rebuild)
        progress.out(f"{name} is in {place}. To use it: --model {name}")
    if not asked:
        others = ", ".join(one for one, model in models.EMBEDDED.items() if model.toy and one not in names)
        progress.out(f"Others: {others} (rationem world NAME). All that --model knows: rationem model list")
    return 0
