"""Equivalences."""
