"""Jobs that RQ's worker imports."""


def add(a, b):
    return a + b


def fail():
    raise ValueError("as it should")
