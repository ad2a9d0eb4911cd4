"""Loss terms: pure functions of tensors that return one number per face, (B,), as a mean over cells and without a weight.

`weigh` alone multiplies by weights. No term runs a network: those that compare features are given features.
"""

from __future__ import annotations

from stylswap.losses.content import content
from stylswap.losses.luminance import luminance
from stylswap.losses.smoothness import smoothness
from stylswap.losses.style import choose_style_faces, patch_style
from stylswap.losses.weigh import Weighed, check_weights, wanted, weigh

__all__ = [
    "Weighed",
    "check_weights",
    "choose_style_faces",
    "content",
    "luminance",
    "patch_style",
    "smoothness",
    "wanted",
    "weigh",
]
