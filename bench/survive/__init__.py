"""The hostile world, bounded: clients that dribble, do not read, reset, lie and leave, against ``rat serve``.

    python -m bench.survive [--quick] [--loop uvloop|asyncio|both] [--only NAME]

Standard library only, and 127.0.0.1 only.  Each attack is a function that gives figures, and a row in a table with
their bounds.
"""
