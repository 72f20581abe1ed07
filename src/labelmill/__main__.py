"""`python -m labelmill` is the command `labelmill`."""

from labelmill.cli import main

if __name__ == "__main__":
    main()
