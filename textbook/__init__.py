"""The six algorithms as their formulas stand: no checks, no options, no speed. Read these first.

Each file has the names, the order of arguments and the results of the module of the same name at
the top level, which is the fast and checked version. The tests hold one against the other.
"""
