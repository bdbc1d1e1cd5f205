"""Training: from the aligned caches to pretrained weights and to one fold's predictions."""
