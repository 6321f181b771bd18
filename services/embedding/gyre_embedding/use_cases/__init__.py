"""The stories: texts embedded, and embedders that were trained brought to the model server."""
