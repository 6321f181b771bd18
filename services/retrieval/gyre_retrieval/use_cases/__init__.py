"""The stories: a part comes in, a document goes, what left is swept, a question is asked."""
