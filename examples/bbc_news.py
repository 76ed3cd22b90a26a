"""Classify news articles of 90 to 4,000 words without padding them: the demo that padless itself holds.

The program is src/padless/demo.py, so that `python -m padless demo` runs it wherever padless is installed.

Run it with `./run demo`, or `python examples/bbc_news.py` where padless[torch,demo] is installed.
"""

from __future__ import annotations

import sys

from padless.demo import BATCH as BATCH
from padless.demo import load_articles as load_articles
from padless.demo import main

if __name__ == "__main__":
    sys.exit(main(program="./run demo"))
