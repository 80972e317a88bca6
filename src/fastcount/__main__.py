"""``python -m fastcount``"""

from fastcount.cli import main

if __name__ == "__main__":
    main()
