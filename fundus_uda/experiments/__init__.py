"""The paper's tables at one's own scale, and the comparison of runs, for both applications."""
