"""The QLinear flavour."""
