"""An environment that is nobody's: importing this module, before torch, takes the user's away.

Tests run in shells, editors, git hooks and CI. What these set for people (colours, widths, where
data lie, which repository git works on) must reach neither the tests nor the processes they start.
"""

import os
import tempfile

USERS = (
    *("CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "PY_COLORS"),
    *("TERMINAL_WIDTH", "GITHUB_ACTIONS", "MATPLOTLIBRC", "SOURCE_DATE_EPOCH"),
)
"""Variables that change what rich, typer and matplotlib write."""


def settle() -> None:
    """Take away what a user may have set; one thread, and no data sets but a test's own."""
    for name in os.environ.copy():
        if name in USERS or name.startswith(("FEWSHOT_", "GIT_")):
            del os.environ[name]
    # The tensors of the tests are so small that a second thread only costs.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # No test reads the user's stores: by default data lie where there are none.
    os.environ["FEWSHOT_DATA"] = os.path.join(tempfile.gettempdir(), "no-data-sets-of-fewshot")
    os.environ["MPLBACKEND"] = "agg"


settle()
