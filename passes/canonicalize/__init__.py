"""Canonicalize."""
