"""Answers, prompts and models scored; drift and abuse seen."""
