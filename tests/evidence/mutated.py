"""Files of a log, mutated by chance, read by a parser that was compiled with AddressSanitizer.

`make crash` runs it where the compiler has one. The parser is compiled once more, with every read and write of memory
checked, and takes the place of the installed one; a run that ends with exit code 0 found nothing.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from random import Random

SOURCE = Path("build/cython/native/framing.c")
BUILT = Path("out/asan/framing.so")
FILES = 20_000


def build() -> str:
    """Compile the parser and return the sanitizer's library, which has to be loaded first."""
    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if compiler is None:
        sys.exit("there is no C compiler for a parser with AddressSanitizer; install gcc, or name one with CC=")
    library = subprocess.run(
        [compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout
    if not Path(library.strip()).is_file():
        sys.exit(f"`{compiler}` has no AddressSanitizer; install libasan")
    BUILT.parent.mkdir(parents=True, exist_ok=True)
    include = sysconfig.get_path("include")
    flags = [
        "-O1",
        "-g",
        "-fsanitize=address",
        "-fno-omit-frame-pointer",
        "-shared",
        "-fPIC",
        "-Inative",
        f"-I{include}",
    ]
    subprocess.run([compiler, *flags, str(SOURCE), "-o", str(BUILT)], check=True)
    return library.strip()


def mutated(data: bytes, chance: Random) -> bytes:
    """The same file with some bits, bytes, lengths or its end changed."""
    content = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(content))
        match chance.randrange(5):
            case 0:
                content[at] ^= 1 << chance.randrange(8)
            case 1:
                content[at : at + 8] = chance.randbytes(min(8, len(content) - at))
            case 2:
                frame = content.find(b"\x9eTF1", at)
                if frame >= 0:
                    content[frame + 4 : frame + 8] = chance.choice([b"\xff" * 4, b"\xff\xff\0\0", chance.randbytes(4)])
            case 3:
                del content[at:]
            case 4:
                content[at:at] = content[at : at + chance.randrange(1, 200)]
        if not content:
            break
    return bytes(content)


def run() -> None:
    spec = importlib.util.spec_from_file_location("thoth.native.framing", BUILT)
    assert spec is not None
    assert spec.loader is not None
    import thoth.native.peaks

    framing = sys.modules["thoth.native.framing"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(framing)
    import flips

    import thoth.evidence.frames as frames
    from thoth.evidence.errors import EvidenceError
    from thoth.evidence.recover import survey

    assert frames.scan_frames is framing.scan_frames, "the installed parser is in the way"
    assert thoth.native.peaks is not None
    storage, chance, judged = flips.two_segments(closed=False), Random(5), {"sound": 0, "refused": 0}
    files = {name: bytes(storage.names[name].cache) for name in storage.names}
    for number in range(FILES):
        name = chance.choice(sorted(files))
        data = mutated(files[name], chance)
        for at in (0, 4096, chance.randrange(len(data) + 1)):
            if at <= len(data):
                framing.scan_frames(data, at, chance.randrange(400), chance.getrandbits(64), bytes(32), True)
                framing.read_frame(data, at)
                framing.zeros_end(data, at)
        storage.names[name].cache[:] = data
        try:
            survey(storage, flips.FOLDER)
            judged["sound"] += 1
        except EvidenceError:
            judged["refused"] += 1
        storage.names[name].cache[:] = files[name]
        if number % 500 == 0:
            print(f"\r{number:,} mutated files ", end="", file=sys.stderr, flush=True)
    print(f"\r{FILES:,} mutated files read, none beyond its bounds: {judged}", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "run":
        run()
    else:
        library = build()
        around = os.environ | {"LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
        sys.exit(subprocess.run([sys.executable, __file__, "run"], env=around, check=False).returncode)
