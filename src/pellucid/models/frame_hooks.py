"""Runs frame units in a transformer by hooks of its layers, which come off without a trace."""

import inspect
from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pellucid.errors import InputError
from pellucid.models.frame_units import MASKS, PLACES, FrameUnits, Place, blocks_of, matrices_of
from pellucid.models.latent_inputs import find_input

Change = tuple[tuple[object, ...], dict[str, object]]


class _Hooks:
    """The hooks of one transformer's units."""

    def __init__(self, units: FrameUnits) -> None:
        self.units, self.on = units, True
        self.handles: list[RemovableHandle] = []

    def put(self, net: nn.Module) -> None:
        """Registers all."""
        place = PLACES.get(type(net).__name__, "last")
        _, first = find_input(net)
        self.handles.append(first.register_forward_hook(self._first(is_map=not isinstance(first, nn.Linear))))
        for number, block in enumerate(blocks_of(net)):
            hook = self._block(number, place, block)
            self.handles.append(block.register_forward_pre_hook(hook, with_kwargs=True))
        for number, matrix in enumerate(matrices_of(net)):
            self.handles.append(matrix.register_forward_hook(self._matrix(number)))

    def remove(self) -> None:
        """Takes all off; a hook whose registration was cut short does nothing from now on."""
        self.on = False
        for handle in self.handles:
            handle.remove()

    # functions, not methods: a copy of the transformer then runs the same units, and does not copy them
    def _first(self, *, is_map: bool) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def beside(_: nn.Module, inputs: tuple[Tensor, ...], made: Tensor) -> Tensor:
            return self.units.beside_first(made, is_map=is_map) if self.on else made

        return beside

    def _block(
        self, number: int, place: Place, block: nn.Module
    ) -> Callable[[nn.Module, tuple[object, ...], Mapping[str, object]], Change]:
        names = list(inspect.signature(block.forward).parameters)

        def before(_: nn.Module, inputs: tuple[object, ...], options: Mapping[str, object]) -> Change:
            if not self.on:
                return inputs, dict(options)
            given = dict(zip(names, inputs, strict=False)) | dict(options)
            tokens = given[names[0]]
            assert isinstance(tokens, Tensor)
            changed = self.units.before_block(number, tokens, place, given.get(MASKS.get(place, "")))
            if inputs:
                return (changed, *inputs[1:]), dict(options)
            return inputs, {**options, names[0]: changed}

        return before

    def _matrix(self, number: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def beside(_: nn.Module, inputs: tuple[Tensor, ...], made: Tensor) -> Tensor:
            return self.units.beside_matrix(number, inputs[0], made) if self.on else made

        return beside


# Weak, and beside the module: an attribute would be saved with it.
_HOOKS: WeakKeyDictionary[nn.Module, _Hooks] = WeakKeyDictionary()


def units_on(net: nn.Module) -> FrameUnits | None:
    """Returns the units that run in a transformer."""
    hooks = _HOOKS.get(net)
    return None if hooks is None else hooks.units


def put_units(net: nn.Module, units: FrameUnits | None) -> None:
    """Lets `units` run in a transformer in place of those that did, or none.

    Raises:
        InputError: they were made for another. Nothing has changed then.
    """
    if units is not None:
        check_fit(net, units)
    before = _HOOKS.get(net)
    if before is not None:
        before.remove()
        _HOOKS.pop(net, None)
    if units is not None:
        # known before the first hook is there, so that an interruption can be taken back
        hooks = _Hooks(units)
        _HOOKS[net] = hooks
        hooks.put(net)


def check_fit(net: nn.Module, units: FrameUnits) -> None:
    """Raises InputError for units of another transformer."""
    own = [(layer.in_features, layer.out_features) for layer in matrices_of(net)]
    theirs = [tuple(each) for each in units.config["matrices"]]
    if own != theirs:
        raise InputError(
            f"Expected units for {len(own)} matrices of this transformer, found {len(theirs)} of another. "
            "Take the file made for this base model."
        )
