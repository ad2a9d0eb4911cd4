"""Frozen critics: networks that judge and are never trained."""
