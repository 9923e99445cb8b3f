"""How to start a program that is to be interrupted."""

# A shell that starts the tests in the background lets everything below them ignore SIGINT.
HEARS_CTRL_C = ("env", "--default-signal=INT")
