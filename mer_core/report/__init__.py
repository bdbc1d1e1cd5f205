"""What people look at: tables, figures, the finding, the page."""

import locale
import os

# A terminal inside a notebook hands down the notebook's backend, without which matplotlib cannot be imported
# where it is not installed. Figures are written to files and need none.
os.environ.pop("MPLBACKEND", None)
# A matplotlibrc may ask for the locale, which stops the import where the machine lacks it (on clusters, say).
_before = locale.setlocale(locale.LC_ALL)
try:
    locale.setlocale(locale.LC_ALL, "")
except locale.Error:
    os.environ["LC_ALL"] = "C"
else:
    locale.setlocale(locale.LC_ALL, _before)
