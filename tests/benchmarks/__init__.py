"""What the program costs: `python -m tests.benchmarks` prints a Markdown table."""
