"""Azure OpenAI, on the v1 endpoint `https://RESOURCE.openai.azure.com/openai/v1/`.

It speaks the OpenAI protocol with a key in a header of its own; a suffix has no dots; `trainingType` says where it trains.  A
tuned model answers once it is deployed, which is asked of the control plane with a token of Azure's resource manager.
Source: "Customize a model with fine-tuning" and "Deploy a fine-tuned model for inferencing" in Microsoft's documentation.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from ftbuild.digest import digest
from ftbuild.errors import FtbuildError
from ftbuild.providers.connecting import Connection, key_of, secret
from ftbuild.providers.protocol import ProtocolTraining
from ftbuild.providers.training import Announced, NotTrainable, plain
from ftbuild.registries import PROVIDERS, TRAINERS

if TYPE_CHECKING:
    import openai

    from ftbuild.console import Console
    from ftbuild.recipe import Provider

_CONTROL = "https://management.azure.com"
_VERSION = "2024-10-21"
_BOM = b"\xef\xbb\xbf"
_LONGEST_SUFFIX = 40


@PROVIDERS("azure")
@contextlib.contextmanager
def azure(provider: Provider, state: Path, console: Console) -> Iterator[Connection]:  # noqa: ARG001 - one signature for all
    """Connect with the key in the header `api-key`."""
    key = key_of(provider)
    yield Connection(provider.base_url, key, {"api-key": key})


class AzureTraining(ProtocolTraining):
    """Training at Azure, and putting a tuned model to work there."""

    deploys: ClassVar[bool] = True

    def check(self, model: str) -> Announced:
        """Ask for the model; and see to it that what will be needed to deploy what is tuned is there."""
        self._control()
        self._path("")
        return super().check(model)

    def inspect(self, model: str, described: Mapping[str, Any]) -> None:
        """NotTrainable if the model's capabilities say that it cannot be fine-tuned here."""
        if (described.get("capabilities") or {}).get("fine_tune") is False:
            raise NotTrainable(f"the model {model!r} cannot be fine-tuned in this resource's region")

    def content(self, rows: Path) -> bytes:
        """Return the rows with the byte-order mark that Azure's documentation asks for."""
        return _BOM + rows.read_bytes()

    def suffix(self, suffix: str) -> str:
        """Return the suffix without dots."""
        return plain(suffix, _LONGEST_SUFFIX)

    def deploy(self, model: str) -> str:
        """Create the deployment, whose name follows from the model, and wait until it has been provisioned."""
        name, control = self.deployed_as(model), self._control()
        path = self._path(name)
        body = {
            "sku": {"name": self.provider.service.get("sku", "standard"), "capacity": self.provider.service.get("capacity", 1)},
            "properties": {"model": {"format": "OpenAI", "name": model, "version": "1"}},
        }
        query = {"params": {"api-version": self.provider.service.get("api_version", _VERSION)}}
        told = control.put(path, cast_to=cast("Any", object), body=body, options=cast("Any", query))
        while (state := str((told.get("properties") or {}).get("provisioningState"))) not in (
            "Succeeded",
            "Failed",
            "Canceled",
        ):
            time.sleep(self.seconds)
            told = control.get(path, cast_to=cast("Any", object), options=cast("Any", query))
        if state != "Succeeded":
            raise FtbuildError(f"the deployment {name} of {model} ended as {state}", hint="Azure's portal says why")
        return name

    def deployed_as(self, model: str) -> str:
        """Return the name of the deployment for a model, or for a checkpoint."""
        return f"{plain(model.partition('.ft-')[0], 40)}-{digest(model)[:10]}"

    def retire(self, name: str) -> None:
        """Delete the deployment."""
        query = {"params": {"api-version": self.provider.service.get("api_version", _VERSION)}}
        self._control().delete(self._path(name), cast_to=cast("Any", object), options=cast("Any", query))

    def _path(self, name: str) -> str:
        group, account = self.service("resource_group"), self.service("resource")
        return (
            f"/subscriptions/{self.service('subscription')}/resourceGroups/{group}"
            f"/providers/Microsoft.CognitiveServices/accounts/{account}/deployments/{name}"
        )

    def _control(self) -> openai.OpenAI:
        hint = "export {name}=$(az account get-access-token --query accessToken -o tsv)"
        token = secret(self.service("token_env"), "provider.service.token_env", hint)
        address = str(self.provider.service.get("control", _CONTROL))
        return self.client.with_options(api_key=token, base_url=address, set_default_headers={})


TRAINERS("azure")(AzureTraining)
