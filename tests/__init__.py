"""Tests of Taxiway."""
