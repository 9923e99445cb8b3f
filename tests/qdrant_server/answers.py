"""What Qdrant answers, when it does not do what it was asked."""


class Refusal(Exception):
    """An answer with a status and Qdrant's way to word a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def bad_input(reason: str) -> Refusal:
    return Refusal(400, f"Wrong input: {reason}")


def unknown_collection(name: str) -> Refusal:
    return Refusal(404, f"Not found: Collection `{name}` doesn't exist!")
