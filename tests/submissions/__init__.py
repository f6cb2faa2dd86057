"""Submissions that the grader is tested with: correct ones in several styles, and wrong ones.

Each folder is a correct solution. `mistakes.py` makes the wrong ones by one small edit each.
"""
