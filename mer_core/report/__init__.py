"""What people look at: tables, figures, the finding, the page."""

import os

# A terminal inside a notebook hands down the notebook's backend, without which matplotlib cannot be imported
# where it is not installed. Figures are written to files and need none.
os.environ.pop("MPLBACKEND", None)
