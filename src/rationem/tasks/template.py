"""Prompt templates: files that a user can replace, with strict variables (Jinja, sandboxed).

``{{ name }}`` stands for a variable, ``{% if name %}...{% endif %}`` for an optional part. An unknown name is an error
when the file is read, before any row is rendered. Single braces are plain text. A variable's value is never parsed as a
template.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from rationem.errors import ConfigError, closest


@dataclass(frozen=True, slots=True)
class Template:
    """The text of a template and where it came from.

    >>> Template('{"q": "{{ prompt }}"}').render({"prompt": "{{ x }} {y}"})
    '{"q": "{{ x }} {y}"}'
    """

    text: str
    source: str = ""

    @property
    def sha256(self) -> str:
        """The hash of the text, as recorded in the ledger."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def render(self, variables: Mapping[str, str]) -> str:
        """Return the text with the variables filled in. Values are data, even if they look like a template.

        Raises:
            ConfigError: rendering fails, for example because the template computes something impossible.
        """
        from jinja2 import TemplateError

        try:
            # Only texts are looked up: 1, 1.0 and True are equal, and their texts are not.
            texts = all(type(one) is str for one in variables.values())
            return (_rendered if texts else _filled)(self.text, tuple(variables.items()))
        except (TemplateError, ArithmeticError, TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"{self.source or 'the template'}: cannot be filled in: {error}") from error

    def check(self, known: Collection[str], required: Collection[str]) -> Template:
        """Return this template if it uses known variables only, and all that are required.

        Raises:
            ConfigError: it is malformed, uses an unknown variable, or lacks a required one.
        """
        from jinja2 import TemplateSyntaxError

        where = self.source or "the template"
        try:
            used = _variables(self.text)
        except TemplateSyntaxError as error:
            raise ConfigError(f"{where}:{error.lineno}: not a template: {error.message}") from error
        except (ValueError, RecursionError) as error:  # numbers of thousands of digits, very deep nesting
            raise ConfigError(f"{where}: not a template: {error}") from error
        for name in sorted(used - set(known)):
            raise ConfigError(f"{where}: unknown variable {name!r}.{closest(name, known)} Known: {sorted(known)}.")
        if missing := sorted(set(required) - used):
            single = [name for name in missing if f"{{{name}}}" in self.text]
            braces = f" Variables have two braces: {{{{ {single[0]} }}}}." if single else ""
            raise ConfigError(
                f"{where}: the variables {missing} are missing; without them the prompt lacks the question.{braces}"
            )
        return self


@lru_cache(maxsize=32)
def packaged(name: str) -> Template:
    """Return a template of the package, e.g. ``judge``."""
    text = (resources.files("rationem.tasks") / "prompts" / f"{name}.txt").read_text(encoding="utf-8")
    return Template(text.removesuffix("\n"), f"rationem/{name}.txt")


def read_template(path: Path) -> Template:
    """Return a user's template, without the file's final line break.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        return Template(path.read_text(encoding="utf-8").removesuffix("\n"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read the template {path}: {error}") from error


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Return the content of a TOML file.

    Args:
        path: the file.
        what: what the user calls it, such as "the rubric".

    Raises:
        ConfigError: it cannot be read, is not UTF-8, or is not valid TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        near = closest(path.name, (one.name for one in path.absolute().parent.glob("*.toml")))
        raise ConfigError(f"Cannot read {what} {path}: there is no such file.{near}") from error
    except OSError as error:
        raise ConfigError(f"Cannot read {what} {path}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:  # malformed, numbers of thousands of digits, very deep nesting
        raise ConfigError(f"Cannot read {what} {path}: it is not valid TOML: {error}") from error


@lru_cache(maxsize=1)
def _environment() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)


@lru_cache(maxsize=64)
def _variables(text: str) -> frozenset[str]:
    from jinja2 import meta

    return frozenset(meta.find_undeclared_variables(_environment().parse(text)))


@lru_cache(maxsize=64)
def _compiled(text: str) -> Any:
    return _environment().from_string(text)


def _filled(text: str, variables: tuple[tuple[str, str], ...]) -> str:
    rendered: str = _compiled(text).render(dict(variables))
    return rendered


#: An iteration asks for the same prompt a dozen times: to sample, to grade, to score, to train.
_rendered = lru_cache(maxsize=1024)(_filled)
