"""What a network sees of a sample other than the apex: motion, in the format of the aligned faces."""
