"""What the checks of each notebook compare with: one file a notebook."""
