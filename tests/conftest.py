"""What all tests share: no network, one thread pool, a tiny model made once a session."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "true"
