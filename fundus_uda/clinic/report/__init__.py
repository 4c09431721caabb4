"""The report on predictions: one page to look through, and the numbers behind it."""
