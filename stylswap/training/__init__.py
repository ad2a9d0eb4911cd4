"""The loop and what surrounds it; knows no engine."""
