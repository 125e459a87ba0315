"""One server suggests codes in a store: of two, one is refused or only serves."""

from collections.abc import Callable

import pytest

from icdcli.errors import ConfigError
from icdcli.review.store import Store
from icdcli.review_page.store_lock import only_server


def test_one_server_suggests_codes(opened: Callable[..., Store]) -> None:
    first, second = opened(), opened()
    with only_server(first) as suggests:
        assert suggests
        if first.is_sqlite:
            with pytest.raises(ConfigError, match="is already being served"), only_server(second):
                pass
        else:
            with only_server(second) as suggests_too:
                assert not suggests_too
    with only_server(second) as suggests:
        assert suggests  # the first one has ended
