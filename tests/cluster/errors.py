"""What can go wrong with a test cluster, branched by who can act.

ClusterError            the cluster did not do what it was asked; the message says which part and where its log is
└── MissingPrerequisite the machine lacks something; one line names it with the remedy
"""


class ClusterError(RuntimeError):
    """A test cluster could not be built, started or used."""


class MissingPrerequisite(ClusterError):
    """The machine lacks something that a person has to provide."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
