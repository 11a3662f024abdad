"""Every error a user of hqcodec may want to catch, and the one line that others become."""


class HqcodecError(Exception):
    """Base of all errors raised on purpose; its message is one line and names the remedy."""


class FormatError(HqcodecError):
    """The bytes are not a .hqc file or a picture that we read, or are damaged."""


class UnknownModelError(HqcodecError):
    """The file, or the user, names a model that is not installed."""


class CutFileWarning(UserWarning):
    """A .hqc file broke off: it decodes, but to fewer layers than were written."""


def one_line(error: Exception | str) -> str:
    """What another library's error says, as one line."""
    return " ".join(str(error).split()) or type(error).__name__
