import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # for `word_models`, which these tests share
