"""Figures of a swap: pure functions of numbers, points and images. Each has tests with a known answer."""
