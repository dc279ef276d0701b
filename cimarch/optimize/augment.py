"""Images shifted and mirrored while training (He et al., CVPR 2016, section 4.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def augmented(images: Tensor, shift: int, mirror: bool, generator: torch.Generator) -> Tensor:
    """Shift each image (N, C, H, W) by up to `shift` pixels, zeros come in; mirror half."""
    count, _, high, wide = images.shape
    padded = F.pad(images, (shift,) * 4).permute(0, 2, 3, 1)  # (N, H + 2s, W + 2s, C)
    reach = 2 * shift + 1
    rows = torch.randint(reach, (count, 1), generator=generator) + torch.arange(high)
    columns = torch.randint(reach, (count, 1), generator=generator) + torch.arange(wide)
    if mirror:
        turned = torch.rand(count, generator=generator) < 0.5
        columns[turned] = columns[turned].flip(1)
    picked = padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2).contiguous()
