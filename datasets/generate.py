"""Builds the small world of the course: ``python datasets/generate.py [--check | --report]``."""

from __future__ import annotations

import argparse
import json
import lzma
import sys
import time
from pathlib import Path

from generator.report import report
from generator.world import make_world

HERE = Path(__file__).resolve().parent
SEED = 2026
# Settings are spelt out because the committed bytes depend on them.
XZ = {"format": lzma.FORMAT_XZ, "check": lzma.CHECK_CRC32, "preset": 9}


def to_bytes(rows: list[dict]) -> bytes:
    """One JSON object a line, in the order of the rows."""
    lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def write(seed: int, folder: Path) -> int:
    """Writes every view and split; returns the bytes on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for name, rows in make_world(seed).items():
        packed = lzma.compress(to_bytes(rows), **XZ)
        (folder / f"{name}.jsonl.xz").write_bytes(packed)
        total += len(packed)
    return total


def differences(seed: int, folder: Path) -> list[str]:
    """What is wrong with the files in ``folder``, by file."""
    found = []
    world = make_world(seed)
    for name, rows in world.items():
        path = folder / f"{name}.jsonl.xz"
        wanted = to_bytes(rows)
        if not path.exists():
            found.append(f"{path.name}: missing")
        elif lzma.decompress(path.read_bytes()) != wanted:
            found.append(f"{path.name}: the rows differ from what the generator makes")
        elif path.read_bytes() != lzma.compress(wanted, **XZ):
            found.append(f"{path.name}: the rows agree, the compressed bytes do not")
    known = {f"{name}.jsonl.xz" for name in world}
    found += [f"{p.name}: not of this world" for p in folder.glob("*.xz") if p.name not in known]
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    parser.add_argument("--report", action="store_true", help="print the figures of the datasheets")
    parser.add_argument("--out", type=Path, default=HERE / "world")
    chosen = parser.parse_args(arguments)
    start = time.perf_counter()
    if chosen.check:
        found = differences(chosen.seed, chosen.out)
        print("\n".join(found) or "The committed world is what the generator makes.")
        return 1 if found else 0
    if chosen.report:
        print(report(chosen.seed, chosen.out))
        return 0
    total = write(chosen.seed, chosen.out)
    print(f"{total:,} bytes in {chosen.out.name}/, {time.perf_counter() - start:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
