"""Recipes of kind `embedding`: passages that people judged good come nearer to their questions."""
