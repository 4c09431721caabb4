"""Training by adaptation step: settings, methods, state, batches, checkpoints, the loop."""
