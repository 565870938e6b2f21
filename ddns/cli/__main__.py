"""`python -m ddns.cli`: the same as the `ddns` command, for where no script is installed."""

from ddns.cli import main

main()
