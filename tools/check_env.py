"""Whether the running Python has what setup.cfg asks for: what is missing is named, with the pip command that mends it.

usage: python3 check_env.py SETUP_CFG
Exit code 1 when the package itself cannot work; what only an extra needs is a warning.
"""

import configparser
import sys
from importlib.metadata import PackageNotFoundError, version


def lacking(lines: str) -> list[str]:
    """Those of the requirement lines that this Python does not meet."""
    from packaging.requirements import Requirement

    unmet = []
    for line in filter(None, map(str.strip, lines.splitlines())):
        wanted = Requirement(line)
        try:
            if not wanted.specifier.contains(version(wanted.name), prereleases=True):
                unmet.append(line)
        except PackageNotFoundError:
            unmet.append(line)
    return unmet


def main(setup_cfg: str) -> int:
    """Print what is missing; the exit code."""
    if sys.version_info < (3, 10):  # noqa: UP036 (this runs before we know the Python)
        print(f"Python {sys.version.split()[0]} is older than 3.10")
        return 1
    try:
        import packaging  # noqa: F401
    except ImportError:
        print("missing: packaging (and likely all of the rest; pip install packaging, then look again)")
        return 1
    parser = configparser.ConfigParser()
    parser.read(setup_cfg)
    missing = lacking(parser["options"]["install_requires"])
    if missing:
        print(f"missing: {', '.join(missing)}\n  pip install {' '.join(map(repr, missing))}")
    for extra, lines in parser["options.extras_require"].items():
        needed = lacking(lines)
        if needed:
            print(f"missing for '{extra}' only: {', '.join(needed)}\n  pip install {' '.join(map(repr, needed))}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
