"""A small transformer learns what only another image, or another layer, can tell it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pellucid.models.frame_hooks import put_units
from pellucid.models.frame_units import FrameUnits
from pellucid.models.latent_inputs import as_tokens
from pellucid.models.showing import shown_latents
from pellucid.training.denoiser.parameters import grow_inputs, select_parameters
from weights.test_frame_units import ROWS, Net, small

STEPS = 100


def colours(noise: torch.Generator) -> Tensor:
    """Latents (rows, 4, 8, 4), each of one colour of unit variance."""
    return torch.randn(ROWS, 4, 1, 1, generator=noise).expand(-1, -1, 8, 4)


def predicted(net: Net, tokens: Tensor) -> Tensor:
    return net(
        hidden_states=tokens,
        timestep=torch.full((ROWS,), 0.5),
        pooled_projections=torch.zeros(ROWS, 8),
        encoder_hidden_states=torch.zeros(ROWS, 3, 8),
        txt_ids=torch.zeros(3, 3),
        img_ids=torch.cartesian_prod(torch.zeros(1), torch.arange(4.0), torch.arange(2.0)),
        return_dict=False,
    )[0]


def last_loss(step: Callable[[torch.Generator], Tensor], trains: list[nn.Parameter]) -> float:
    """Trains, and returns the mean of the last losses: 1 where nothing is known of a colour."""
    optimizer, noise = torch.optim.Adam(trains, lr=1e-2), torch.Generator().manual_seed(0)
    losses: list[float] = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = step(noise)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return sum(losses[-20:]) / 20


@pytest.mark.parametrize(("shown", "least", "most"), [(True, 0.0, 0.3), (False, 0.8, 1.5)])
def test_a_background_takes_the_colour_that_it_is_shown(shown: bool, least: float, most: float) -> None:
    net = small()
    select_parameters(net, "full")
    grow_inputs(net, 4, side=2)

    def step(noise: torch.Generator) -> Tensor:
        wanted = colours(noise)
        with shown_latents(net, wanted * shown):
            made = predicted(net, torch.randn(ROWS, 8, 16, generator=noise))
        return (made - as_tokens(wanted, 2)).square().mean()

    assert least < last_loss(step, [value for value in net.parameters() if value.requires_grad]) < most


@pytest.mark.parametrize(("see", "least", "most"), [(True, 0.0, 0.75), (False, 0.8, 1.5)])
def test_a_layer_takes_the_colour_of_the_other(see: bool, least: float, most: float) -> None:
    net = small()
    units = FrameUnits.for_transformer(net, frames=2, rank=8)
    put_units(net, units)
    trains = [value for name, value in units.named_parameters() if see or "attentions" not in name]

    def step(noise: torch.Generator) -> Tensor:
        tokens = as_tokens(colours(noise), 2)
        made = predicted(net, tokens)
        # of each scene's two layers, each has to be the other
        return (made - tokens.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)).square().mean()

    assert least < last_loss(step, trains) < most
