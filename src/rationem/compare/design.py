"""The design of a comparison: arms, seeds, the reference, and what is held equal; written before anything runs."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rationem.config import FitConfig, Mark, read_config, settings_with
from rationem.errors import ConfigError, RunError, closest, writing
from rationem.ledger import write_text
from rationem.run import trust
from rationem.run.defaults import NO_IDENTITY
from rationem.sampling.schemes import DIRECT, parse_scheme

#: The file that marks a directory as a comparison and describes it.
NAME = "comparison.json"
VERSION = 1
#: Reserved directory names, and the paper's names of its schemes.
_TAKEN = {"base", "logs"}
_NAME = re.compile(r"(?![_=+\-@\[])[^{}<>|\x00-\x1f\x7f-\x9f]{1,60}")
#: Rows of the tables that are not arms.
_ROWS = {"base model", "majority label"}
#: Settings that runs of one comparison do not share, and those that do not affect the result.
_OWN = {*NO_IDENTITY, *settings_with(Mark.BY_ARM, Mark.BY_RUN)}
_TITLES = {"star": "STaR", "pps": "PPS", "exact": "enumerated EM", "direct": "answer alone"}

Equal = Literal["iterations", "tokens", "passes"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One scheme in a comparison.

    Args:
        name: its name in tables.
        scheme: as for ``rationem fit --scheme``.
        selector: as for ``--selector``.
    """

    name: str
    scheme: str
    selector: str = "first"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name) or self.name in _ROWS:
            raise ConfigError(
                f"--schemes: {self.name!r} cannot be an arm's name. Use up to 60 letters, digits and spaces, and no "
                "characters with a meaning in tables, LaTeX or HTML."
            )

    @property
    def directory(self) -> str:
        """The name of the directory of its runs."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") or "arm"

    @property
    def control(self) -> bool:
        """Whether it trains on the answer alone, without a rationale."""
        return self.scheme == DIRECT.name

    @property
    def generates(self) -> bool:
        """Whether its E-steps generate tokens."""
        plan = parse_scheme(self.scheme, self.selector).plan
        return any(proposal.prompt in ("forward", "rationalize") for proposal in plan)


@dataclass(frozen=True, slots=True)
class Design:
    """A comparison.

    Args:
        config: the settings that all runs share; its ``seed`` is the first of the seeds.
        arms: the compared arms, in the order of the tables.
        reference: the name of the arm that all others are compared with.
        seeds: the seeds; each arm has one run per seed.
        equal: what all arms have the same amount of: iterations (and gradient steps), or what the reference has of it:
            (about) generated tokens, or passes over a kept example.
    """

    config: FitConfig
    arms: tuple[Arm, ...]
    reference: str
    seeds: tuple[int, ...]
    equal: Equal = "iterations"

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if len({arm.directory for arm in self.arms}) < len(names):
            raise ConfigError(f"Two of the arms {', '.join(map(repr, names))} would share a directory.")
        if not all(isinstance(seed, int) for seed in self.seeds):
            raise ConfigError(f"Seeds are whole numbers; found {self.seeds!r}.")
        if self.reference not in names:
            raise ConfigError(
                f"--reference {self.reference!r} is not an arm.{closest(self.reference, names)} The arms: "
                f"{', '.join(map(repr, names))}."
            )
        if self.equal == "tokens" and not self[self.reference].generates:
            raise ConfigError(
                f"--equal tokens gives every arm as many tokens as the reference, but {self.reference!r} generates "
                "none. Name another --reference."
            )
        if self.equal != "iterations" and self.config.schedule != "constant":
            raise ConfigError(
                f"--equal {self.equal}: the number of steps of an arm is not known in advance, but --schedule "
                f"{self.config.schedule} needs it. Omit one of them."
            )

    def __getitem__(self, name: str) -> Arm:
        """Return the arm with this name."""
        return next(arm for arm in self.arms if arm.name == name)

    @property
    def in_order(self) -> tuple[Arm, ...]:
        """The arms in the order of running: the reference first, because others may need its number of generated
        tokens.
        """
        return (self[self.reference], *(arm for arm in self.arms if arm.name != self.reference))

    def run(self, output: Path, arm: Arm, seed: int) -> Path:
        """Return the run directory of an arm and a seed."""
        return output / arm.directory / f"seed-{seed}"

    def base(self, output: Path, seed: int) -> Path:
        """Return the directory of the base model's measurements, which all arms of a seed share."""
        return output / "base" / f"seed-{seed}"


def parse_arms(text: str, *, control: bool = True) -> tuple[Arm, ...]:
    """Read arms: comma-separated, each ``[NAME=]SCHEME[/SELECTOR]``.

    Args:
        text: such as ``rs:4,star,pps,resampled=rationalize@base*2/resample``.
        control: add the control that is trained on answers alone, unless it is named.

    Raises:
        ConfigError: a scheme or selector is unknown, or two arms have the same name.

    >>> [(arm.name, arm.scheme, arm.selector) for arm in parse_arms("rs:4,best=star/all", control=False)]
    [('RS(4)', 'rs:4', 'first'), ('best', 'star', 'all')]
    """
    arms = [_arm(one.strip()) for one in text.split(",") if one.strip()]
    if not arms:
        raise ConfigError(f"--schemes {text!r} names no scheme. For example: --schemes rs:4,star,pps")
    if control and not any(arm.control for arm in arms):
        arms.append(_arm(DIRECT.name))
    for n, arm in enumerate(arms):
        same = [other.name for other in arms[:n] if other.directory == arm.directory]
        if same or arm.directory in _TAKEN:
            other = repr(same[0]) if same else {"base": "the base model", "logs": "the logs"}[arm.directory]
            raise ConfigError(
                f"--schemes {text!r}: {arm.name!r} and {other} would share a directory. Give the arm another name: "
                f"NAME={arm.scheme}"
            )
    return tuple(arms)


def _arm(text: str) -> Arm:
    name, named, rest = text.rpartition("=")
    scheme, _, selector = (part.strip() for part in rest.partition("/"))
    parsed = parse_scheme(scheme, selector or "first")
    if named and not name.strip():
        raise ConfigError(f"--schemes: {text!r} has an empty name. Write NAME=SCHEME, or the scheme alone.")
    return Arm(name.strip() or _title(parsed.name, selector), parsed.name, selector or "first")


def _title(scheme: str, selector: str) -> str:
    budget = re.fullmatch(r"rs:(\d+)", scheme)
    title = f"RS({budget[1]})" if budget else _TITLES.get(scheme, scheme)
    return title if selector in ("", "first") else f"{title} {selector}"


def write_design(design: Design, output: Path) -> None:
    """Write a design, or check that it continues the stored one.

    A comparison can be continued with more arms and more seeds. Arms and the reference stay: leaving an arm out or
    changing the reference after seeing results would bias the comparison.

    Raises:
        RunError: the directory holds something else, or a comparison that this design does not continue.
    """
    if (output / NAME).is_file():
        _check_continues(design, read_design(output), output)
    elif output.is_dir() and any(path.name != f"{NAME}.partial" for path in output.iterdir()):
        raise RunError(f"{output} holds other files and no comparison. Name a new or empty directory with --output.")
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    content = {
        "version": VERSION,
        "arms": [asdict(arm) for arm in design.arms],
        "reference": design.reference,
        "seeds": list(design.seeds),
        "equal": design.equal,
        "config": design.config.model_dump(mode="json", exclude_none=True),
    }
    write_text(output / NAME, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    trust.remember(design.config, content, output)


def check_named(config: FitConfig, named: Collection[str], output: Path) -> None:
    """Refuse external references in a comparison's settings unless the command or its maker on this machine names them.

    Args:
        config: the settings, read from the directory, with flags on top.
        named: the settings that the command names.
        output: the directory.

    Raises:
        ConfigError: says what to name.
    """
    trust.check_by(config, named, json.loads((output / NAME).read_text(encoding="utf-8")), output)


def read_design(output: Path) -> Design:
    """Return the design of a directory.

    Raises:
        RunError: there is none.
    """
    path = output / NAME
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if found["version"] != VERSION:
            raise RunError(f"{path} has version {found['version']}; this rationem reads version {VERSION}.")
        return Design(
            read_config(None, found["config"]),
            tuple(Arm(**arm) for arm in found["arms"]),
            found["reference"],
            tuple(found["seeds"]),
            found["equal"],
        )
    except FileNotFoundError as error:
        raise RunError(f"{output} holds no comparison: {NAME} is missing. Start one with rationem compare.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} does not describe a comparison: {error}.") from error


def shared_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a run's settings that all runs of a comparison share."""
    return {name: value for name, value in config.items() if name not in _OWN}


def _check_continues(design: Design, found: Design, output: Path) -> None:
    def differ(what: str, here: object, asked: object) -> RunError:
        return RunError(
            f"{output} holds a comparison with {what} {here}, but the command gives {asked}. Give another --output, "
            f"or resume that comparison: rationem compare --output {output}"
        )

    recorded, wanted = (shared_settings(one.config.model_dump(mode="json")) for one in (found, design))
    for name, value in recorded.items():
        if value != wanted[name]:
            raise differ(f"{name} =", repr(value), repr(wanted[name]))
    old, new = found.config, design.config
    lengths = (  # an arm's own can differ
        ("iterations =", old.iterations, new.iterations),
        ("steps =", old.steps, new.steps),
        ("epochs =", old.epochs, new.epochs),
    )
    for what, one, other in lengths:
        if other is not None and other != one:
            raise differ(what, one, other)
    if design.reference != found.reference:
        raise differ("the reference", repr(found.reference), repr(design.reference))
    if design.equal != found.equal:
        raise differ("equal", found.equal, design.equal)
    for what, here, asked in (("the arms", found.arms, design.arms), ("the seeds", found.seeds, design.seeds)):
        lost: Sequence[object] = [one for one in here if one not in asked]
        if lost:
            raise differ(what, _listed(here), f"{_listed(asked)}, without {_listed(lost)}")


def _listed(several: Sequence[object]) -> str:
    return ", ".join(one.name if isinstance(one, Arm) else str(one) for one in several)
