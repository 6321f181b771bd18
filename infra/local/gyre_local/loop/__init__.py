"""`make loop`: judgements become models, and models go to everybody, or back, by themselves."""
