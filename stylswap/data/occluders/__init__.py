"""Things in front of a face, drawn by chance and without outside pictures."""

from stylswap.data.occluders.occlude import KINDS, Occluded, draw_occluder, skin_colour

__all__ = ["KINDS", "Occluded", "draw_occluder", "skin_colour"]
