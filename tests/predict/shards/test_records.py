from pathlib import Path

import pytest

from icdcli.errors import ConfigError
from icdcli.predict.shards.records import Shard


def test_shards_are_named_so_that_they_sort():
    shard = Shard.parse("3/12")
    assert (shard, str(shard)) == ((3, 12), "3/12")
    assert shard.file(Path("a/codes.csv")) == Path("a/codes.csv.shards/03-of-12.csv")


@pytest.mark.parametrize("words", ["0/3", "4/3", "1", "1/0", "-1/3", "1/3/5", "a/b", "", "1/1e3"])
def test_what_is_no_shard_is_refused(words):
    with pytest.raises(ConfigError, match="from 1 to N"):
        Shard.parse(words)
