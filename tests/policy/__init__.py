"""Tests of the pure policy engine: no process, no file but the sample vectors, no clock."""
