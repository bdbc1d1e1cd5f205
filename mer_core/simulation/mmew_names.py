"""How people and what they show are named in a simulated MMEW, its micro- and its macro-expressions alike."""

NAMES = [f"S{n:02d}" for n in range(1, 37)]
# The numbers of happiness and anger are those of real names, the others made up.
CODES = {"happiness": 1, "surprise": 2, "disgust": 3, "fear": 4, "sadness": 5, "others": 6, "anger": 7}


def name_of(subject: str, number: int, label: str) -> str:
    """S01-07-001: person, expression, place among those of the person."""
    return f"{subject}-{CODES[label]:02d}-{number:03d}"
