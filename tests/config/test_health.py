"""What the health section accepts."""

import pytest
from pydantic import ValidationError

from config.alongside import Health


@pytest.mark.parametrize("address", ["", "127.0.0.1:9464", "0.0.0.0:0", "[::1]:9464"])
def test_addresses_that_can_be(address: str) -> None:
    assert Health(metrics_address=address).metrics_address == address


@pytest.mark.parametrize("address", ["9464", ":9464", "localhost", "localhost:", "localhost:70000", "a:b"])
def test_addresses_that_cannot_be(address: str) -> None:
    with pytest.raises(ValidationError, match=r"127\.0\.0\.1:9464"):
        Health(metrics_address=address)


def test_a_webhook_that_is_no_web_address_is_refused_without_being_shown() -> None:
    with pytest.raises(ValidationError, match="https://") as refused:
        Health.model_validate({"webhook_url": "file:///etc/passwd?SECRET"})
    assert "SECRET" not in str(refused.value)
