"""python -m tests.mistakes [-v] [MODULE ...]: puts the catalogue to the public checks."""

import sys

from . import catalogue, modules, table, totals

names = [name for name in sys.argv[1:] if not name.startswith("-")]
pairs = []
for module in names or modules():
    for entry in catalogue(module):
        report = entry.examine(seed=0)
        pairs.append((entry, report))
        if "-v" in sys.argv:
            wanted = entry.mistakes or ("accepted",)
            told = report.mistakes or ("accepted",)
            flag = "  " if told[0] in wanted else "✗ "
            print(f"{flag}{entry.name}: {' or '.join(told)}", end="")
            print("" if told[0] in wanted else f", expected {' or '.join(wanted)}")
            if told[0] not in wanted:
                print("     " + report.message.replace("\n", "\n     "))
print(table(totals(pairs)))
