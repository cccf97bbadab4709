"""Engines for worker.py: encoders have `time` and `embed`, decoders `time` and `logits`."""
