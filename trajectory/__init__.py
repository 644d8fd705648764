"""Trajectory traces teams of LLM agents and shows them, live, in a terminal."""

__version__ = "0.1.0"
