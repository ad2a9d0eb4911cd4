"""Geometry of faces: detection, landmarks, alignment, masks, blending. Nothing is learned here."""
