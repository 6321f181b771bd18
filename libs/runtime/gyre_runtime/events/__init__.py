"""Events as they cross the wire: names, envelope, body."""
