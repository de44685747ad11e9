"""`python -m standalone`, which is `make run`. What cannot work: one sentence on stderr, exit status 1."""

import asyncio
import signal
import sys


def main() -> int:
    # Until the supervisor listens there is nothing to stop in good order, so a Ctrl-C just ends us: quietly,
    # even while the imports run.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from jobs.errors import ConfigurationError
    from jobs.settings import load_settings, warn_of_unknown
    from standalone.stack import serve
    from standalone.terminal import say

    try:
        settings = load_settings()
        warn_of_unknown(say)
        asyncio.run(serve(settings))
    except ConfigurationError as error:
        # without text when a child has said it already
        if text := str(error):
            print(f"batchline: {text}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
