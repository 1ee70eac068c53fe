"""Errors by who can mend them.

A mistake in a policy belongs to its author (`PolicyError`, raised where text is read, in `grammar`),
a mistake in a call to its caller, a mistake around the process to its operator. A decision never
raises: what is wrong with a request is a decision of its own.
"""


class RequestError(Exception):
    """The caller's mistake, outside a decision: a report about a call that was never decided, say."""


class OperationError(Exception):
    """The operator's mistake or misfortune: a file that is not there, a folder that cannot be written."""
