"""From photos to batches of aligned faces."""
