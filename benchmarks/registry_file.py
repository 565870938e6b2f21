"""Print the registry file (for `ddns apply`) that serves the benchmark's data: registry_file.py DATADIR.

MANY=1 takes the zone per home, SIG0=1 enrols the homes' KEY records, DENIAL says nsec3, nsec or none. Where the homes
are to be imported (homes.jsonl) it is the registry's own zone alone.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    data = Path(sys.argv[1]).resolve()
    denial = os.environ.get("DENIAL", "nsec3")
    origin = (data / "meta").read_text().split()[1]
    tsig = (data / "tsig.name").read_text().strip()
    secret = (data / "tsig.secret").read_text().strip()
    keys = [f'[[key]]\nname = "{tsig}"\nalgorithm = "hmac-sha256"\nsecret = "{secret}"\n']
    imported = (data / "homes.jsonl").exists()
    if imported:
        zones = [(origin, data / "registry.zone")]
    elif os.environ.get("MANY") == "1":
        zones = [(zone, data / "many" / f"{zone}zone") for zone in (data / "many.list").read_text().split()]
    else:
        zones = [(origin, data / "homes.zone")]
    grants = {zone: [f'{{ key = "{tsig}" }}'] for zone, _ in zones}
    if os.environ.get("SIG0") == "1" and not imported:
        for line in (data / "homes.zone").read_text().splitlines():
            owner, rdtype, *rdata = line.split() if line.count(" ") > 2 else ("", "")
            if rdtype != "KEY":
                continue
            name = f"{owner}.{origin}"
            keys.append(f'[[key]]\nname = "{name}"\nsig0 = "{" ".join(rdata)}"\n')
            grants[name if name in grants else origin].append(f'{{ key = "{name}", name = "{name}" }}')
    sys.stdout.write("\n".join(keys))
    for zone, file in zones:
        held = ",\n  ".join(grants[zone])
        sys.stdout.write(
            f'\n[[zone]]\nname = "{zone}"\nfile = "{file}"\ndenial = "{denial}"\ngrants = [\n  {held},\n]\n'
        )


main()
