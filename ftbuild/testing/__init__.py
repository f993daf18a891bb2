"""A scripted provider for tests: a teacher, live or by the batch, and a trainer, in the OpenAI protocol on loopback.

    from ftbuild.testing import ScriptedProvider, Training, numbered_pairs

    with ScriptedProvider(numbered_pairs(20), tuned_reply="Nero", training=Training(base64_results=True)) as provider:
        monkeypatch.setenv("SCRIPTED_KEY", provider.api_key)
        main(["+recipe=mine", "provider=openai_compatible", f"provider.base_url={provider.base_url}", …])
    assert len(provider.asked) == 12 and len(provider.jobs) == 1

In: replies, as a text, a queue or a function of the request.  Out: answers over HTTP, and a record of every request.  It
writes no file and needs the standard library only.  What it does not have: streams, tools, other endpoints.
"""

from ftbuild.testing.batching import Batching
from ftbuild.testing.provider import ScriptedProvider
from ftbuild.testing.replies import (
    INSUFFICIENT_QUOTA,
    TRAINING_NOT_AVAILABLE,
    CutOff,
    Empty,
    Refusal,
    Reply,
    Request,
    Script,
    Status,
    numbered_pairs,
)
from ftbuild.testing.training import Training

__all__ = [
    "INSUFFICIENT_QUOTA",
    "TRAINING_NOT_AVAILABLE",
    "Batching",
    "CutOff",
    "Empty",
    "Refusal",
    "Reply",
    "Request",
    "Script",
    "ScriptedProvider",
    "Status",
    "Training",
    "numbered_pairs",
]
