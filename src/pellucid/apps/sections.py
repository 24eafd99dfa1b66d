"""Options that stand under headings in `--help`, and commands that print them so.

`option("Sampling", "--seed", ...)` declares an option with its heading; a `SectionedCommand` writes one
section for each heading. It also accepts spellings that options had in the last release.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., object])

LAST_SECTIONS = ("Sampling", "Model", "Elsewhere", "Memory", "Output")
"""Sections that many commands share. They follow a command's own sections, so that these are read first."""
OTHER = "Other options"
"""Heading of options that name none, such as click's own --help."""


class SectionedOption(click.Option):
    """A click option that knows its heading and its former spellings."""

    def __init__(
        self,
        param_decls: Sequence[str] | None = None,
        *,
        section: str = OTHER,
        formerly: Sequence[str] = (),
        **attributes: object,
    ) -> None:
        """Adds two attributes to click's own.

        Args:
            param_decls: spellings, and possibly the parameter's name, as click takes them.
            section: heading in `--help`.
            formerly: spellings that still work, are not shown, and print a note when somebody uses them.
            attributes: click's own.
        """
        super().__init__(param_decls, **attributes)  # pyright: ignore[reportArgumentType] - click checks them
        self.section, self.formerly = section, tuple(formerly)


class SectionedCommand(click.Command):
    """A command whose `--help` lists its options under headings."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Replaces former spellings, with a note on stderr, and parses as click does."""
        spellings = {
            # the note names the long spelling: -o says less than --output
            former: max(param.opts, key=len)
            for param in self.params
            if isinstance(param, SectionedOption)
            for former in param.formerly
        }
        return super().parse_args(ctx, _replace_former(args, spellings))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes a section for each heading: the command's own, then the shared ones, then the rest."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            # click describes arguments too, which the usage line and the description tell already
            if record is not None and isinstance(param, click.Option):
                sections.setdefault(getattr(param, "section", OTHER), []).append(record)
        order = (*LAST_SECTIONS, OTHER)
        # sorted() is stable: sections of the command itself keep the order in which they are declared
        for heading in sorted(sections, key=lambda name: 1 + order.index(name) if name in order else 0):
            with formatter.section(heading):
                formatter.write_dl(sections[heading])


class SectionedGroup(click.Group):
    """A group whose commands list their options under headings."""

    command_class = SectionedCommand


def option(section: str, *names: str, **attributes: object) -> Callable[[Decorated], Decorated]:
    """Declares an option under a heading of `--help`; otherwise like `click.option`.

    Args:
        section: the heading.
        names: spellings, as `click.option` takes them.
        attributes: those of `click.option`, and `formerly` of `SectionedOption`.
    """
    return click.option(*names, cls=SectionedOption, section=section, **attributes)


def _replace_former(args: Sequence[str], spellings: dict[str, str]) -> list[str]:
    """Writes present spellings for former ones, alone or before "=", up to a "--"."""
    replaced = list(args)
    # what follows "--" are arguments, even where they look like options
    end = replaced.index("--") if "--" in replaced else len(replaced)
    for place, argument in enumerate(replaced[:end]):
        former, equals, value = argument.partition("=")
        if former in spellings:
            replaced[place] = spellings[former] + equals + value
            click.echo(
                f"{former} is now {spellings[former]}. The former spelling goes in the next release.",
                err=True,
            )
    return replaced
