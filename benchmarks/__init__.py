"""The speed comparisons: `python -m benchmarks [NAME ...]`; README.md says what is measured."""
