"""What waits for the disk, in the order in which it came, until somebody takes it all."""


cdef class Waiting:
    """A list whose first entry is told of: `first` is called when something comes and nothing was there."""

    def __init__(self, first):
        self.all, self.first = [], first

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self.all)

    def add(self, one) -> None:
        """Put in what waits."""
        self.add_one(one)

    def take(self) -> list:
        """Return everything that waits; it is not here any more."""
        taken, self.all = self.all, []
        return taken

    cdef int add_one(self, object one) except -1:
        if not self.all:
            self.first()
        self.all.append(one)
        return 0
