"""What holds and keys lie in: a database that several processes open, and make, at once."""

import threading
from pathlib import Path

from thoth.contract import OperationError
from thoth.server.store import connect


def test_those_who_make_one_at_once_all_open_it(tmp_path: Path) -> None:
    errors: list[OperationError] = []
    for number in range(60):
        together = threading.Barrier(4)

        def make(path: Path, together: threading.Barrier) -> None:
            together.wait(30)
            try:
                connect(path).close()
            except OperationError as error:
                errors.append(error)

        makers = [threading.Thread(target=make, args=(tmp_path / f"{number}.db", together)) for _ in range(4)]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()
    assert errors == []
