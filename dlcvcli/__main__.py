"""Entry point of `python -m dlcvcli`, which is the same as `dlcv`; torchrun starts it."""

from dlcvcli.cli import main

if __name__ == "__main__":
    main()
