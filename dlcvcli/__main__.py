"""`python -m dlcvcli`: the same as `dlcv`; what torchrun starts."""

from dlcvcli.cli import main

if __name__ == "__main__":
    main()
