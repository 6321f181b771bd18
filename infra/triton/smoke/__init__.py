"""Says pass or fail for each line of the language models' contract, on a real server."""
