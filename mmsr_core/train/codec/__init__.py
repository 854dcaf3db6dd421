"""Training a learned image codec, from photographs to all that its bundle holds."""
