"""Tests: each file shows how one part behaves, with the smallest real use of it first."""
