"""A deployed model: the keeper of a service and the scoring hosts that run the user's `init()` and `run()`.

Everything here is standard library only and readable by Python 3.7, because a scoring host runs inside the
user's environment.
"""
