"""The sections of datasets, one module per on-disk layout."""
