"""The diagnostics of changing widths."""

from __future__ import annotations

from cimarch.diagnostics import DescriptionError, Diagnostic


def no_norm(network: str) -> DescriptionError:
    """No channel's importance is known: there is no batch norm."""
    return DescriptionError(
        Diagnostic(
            "E475",
            f"`{network}` has no batch norm behind a convolution whose width may change",
            notes=("how much a channel matters is read from the scale of its batch norm",),
            helps=("train it with batch norms: they cost nothing on the chip",),
        )
    )


def unfollowed(node: str, why: str) -> DescriptionError:
    """The channels of a tensor cannot be told from those of another."""
    return DescriptionError(
        Diagnostic(
            "E476",
            f"the channels behind `{node}` cannot be followed: {why}",
            notes=(
                "widths change where channels pass convolutions, batch norms, functions of one "
                "element, poolings, additions, paddings and a flattening",
            ),
        )
    )


def too_large(macros: int, weights: int, most: int) -> DescriptionError:
    """The budget would be filled by a network that is too large to be trained here."""
    return DescriptionError(
        Diagnostic(
            "E478",
            f"the network that fills {macros} macros has {weights:,} weights, more than the "
            f"{most:,} that are trained",
            helps=(f"`--budget {max(1, macros * most // weights)}`",),
        )
    )


def too_small(asked: int, least: int, columns: int) -> DescriptionError:
    """The budget is less than one channel a layer takes."""
    macros = -(-least // columns)
    return DescriptionError(
        Diagnostic(
            "E477",
            f"{asked} bit lines hold no network of these layers: one channel a layer takes {least}",
            helps=(f"`--budget {macros}`", f"`--bit-lines {least}`"),
        )
    )
