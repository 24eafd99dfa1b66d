"""Options of commands whose model may be here or on a server: --server, in place of what places a model."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, cast

import click

from pellucid.apps.commands.full_size import FULL_MODEL_OPTIONS, FullModelChoice
from pellucid.apps.commands.options import gathered
from pellucid.apps.sections import option

if TYPE_CHECKING:
    from pellucid.pipelines.pipeline import TransparentPipeline

SPELLINGS = {"loras": "lora", "compiles": "compile"}
SENT = ("model", "server", "server_token", "verbose")
"""Values that a server is told, or that are none of its business."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnywhereChoice(FullModelChoice):
    """Values of `anywhere_options`."""

    server: str | None
    server_token: str | None

    def load(self, usual: str = "mini") -> "TransparentPipeline":
        """Loads the chosen model, or names the server's, which has the same methods."""
        if self.server is None:
            # by its name: dataclasses with slots make their class anew, and super() would look for the former
            return FullModelChoice.load(self, usual)
        self._check()
        from pellucid.client import Client

        client = Client(self.server, self.server_token, model=self.model)
        click.get_current_context().call_on_close(client.close)
        return cast("TransparentPipeline", client)

    def _check(self) -> None:
        """Refuses what only a model of this process can honour."""
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name not in SENT and value not in (None, False, (), "auto", "none"):
                name = SPELLINGS.get(each.name, each.name).replace("_", "-")
                raise click.UsageError(
                    f"--{name} belongs to models of this machine. Leave it or --server out."
                )


anywhere_options = gathered(
    "choice",
    AnywhereChoice,
    (
        *FULL_MODEL_OPTIONS,
        option(
            "Elsewhere",
            "--server",
            metavar="URL",
            envvar="PELLUCID_SERVER",
            show_envvar=True,
            help="Let a `pellucid serve` make it; --model is then a name there.",
        ),
        option(
            "Elsewhere",
            "--server-token",
            metavar="TOKEN",
            envvar="PELLUCID_TOKEN",
            show_envvar=True,
            help="Secret that the server asks for.",
        ),
    ),
)
"""Adds the options of a model of any size, here or on a server; the command gets them as `choice`."""
