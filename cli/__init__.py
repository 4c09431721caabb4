"""Commands: parse, call one function, print. Heavy imports stay inside the commands."""
