"""Multistage collaborative knowledge distillation of sequence generators, on Ray."""

__version__ = "0.1.0"
