"""What people look at: tables, figures, the finding, the page."""
