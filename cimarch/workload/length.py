"""How many tokens an inference takes: what `tokens`, `context` and `input` ask for."""

from __future__ import annotations

import attrs

from cimarch.workload.problems import problem
from cimarch.workload.transformer import Transformer, check_tokens


@attrs.frozen
class Length:
    """What was asked for, not yet held against a model."""

    tokens: int | None = None
    """New tokens."""
    context: int = 0
    """Earlier ones, whose keys and values are there."""
    shape: tuple[int, ...] | None = None
    """Of the input, a batch of one first: (1, tokens) says the tokens too."""
    logits: str = "last"
    """Of which new tokens a language model gives them: the `last`, or `all`."""

    def refuse(self, why: str) -> None:
        """Raise DescriptionError where tokens are given for what takes none."""
        if self.tokens is not None or self.context:
            raise problem("E170", f"{why}: it takes no `tokens`, and no `context`")

    def of(self, model: Transformer) -> tuple[int | None, int]:
        """New and earlier tokens for a model; raises DescriptionError where it cannot take them."""
        tokens = self._tokens(model)
        check_tokens(model, tokens, self.context)
        return tokens, self.context

    def _tokens(self, model: Transformer) -> int | None:
        if self.shape is None:
            return self.tokens
        if not model.takes_tokens:
            image = (1, model.channels, model.image, model.image)
            if self.shape != image:
                raise _another(model.name, self.shape, _by(image))
            return self.tokens
        if len(self.shape) != 2 or self.tokens not in (None, self.shape[1]):
            raise _another(model.name, self.shape, f"1x{self.tokens or 128}")
        return self.shape[1]


def _another(name: str, shape: tuple[int, ...], wanted: str) -> Exception:
    headline = f"`{name}` does not take an input of {_by(shape)}"
    return problem("E164", headline, helps=[f"--input {wanted}"])


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
