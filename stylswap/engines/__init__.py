"""What is trained: an engine gives named loss terms and renders aligned faces."""
