"""Another time of day for programs that cannot be told one.

libfaketime does it for most of them. BIND's programs are linked with jemalloc on Debian 12, which asks for the time
before libfaketime is ready to tell it, and both wait for each other. For those there are three functions in C that
need nothing to be ready: the kernel is asked, and a constant added. Clocks that only grow stay as they are.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from tools import need

SOURCE = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long shift(void)
{
    const char *seconds = getenv("CLOCK_SHIFT");
    return seconds ? atol(seconds) : 0;
}

int clock_gettime(clockid_t which, struct timespec *out)
{
    int status = (int)syscall(SYS_clock_gettime, which, out);
    if (!status && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        out->tv_sec += shift();
    return status;
}

int gettimeofday(void *restrict out, void *restrict zone)
{
    long *fields = out;
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    fields[0] = now.tv_sec;
    fields[1] = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
"""


def build(folder: Path) -> Path:
    """Compile what shifts a program's clock; return the library to be preloaded."""
    source, library = folder / "shift.c", folder / "shift.so"
    source.write_text(SOURCE)
    command = [need("cc"), "-O1", "-shared", "-fPIC", "-fno-builtin", "-o", library, source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return library


def shifted(library: Path, at: float) -> dict[str, str]:
    """Return the environment of a program to which it is *at*, seconds since 1970, when it starts."""
    return os.environ | {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(int(at) - int(time.time())), "TZ": "UTC"}


def faketime(at: float) -> dict[str, str]:
    """Return the environment of a program to which libfaketime says that it is *at*, seconds since 1970.

    Not by the wrapper `faketime`: what it leaves in /dev/shm stops a later one that happens to have the same number.
    """
    need("faketime")
    said = time.strftime("@%Y-%m-%d %H:%M:%S", time.gmtime(at))
    library = "/usr/$LIB/faketime/libfaketime.so.1"  # the loader knows what $LIB is here (ld.so(8))
    return os.environ | {"LD_PRELOAD": library, "FAKETIME": said, "TZ": "UTC"}
