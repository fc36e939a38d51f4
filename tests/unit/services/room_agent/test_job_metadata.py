"""What the gateway tells the agent about a call."""

import pytest
from pydantic import ValidationError

from services.room_agent.job import AvatarJob, CallJob
from services.room_agent.portrait import PortraitMissing, load_portrait

pytestmark = pytest.mark.unit

WHO = '{"id":"a","name":"A","voice":"v"}'
AVATAR = AvatarJob(id="a", name="Ada", voice="hibari")


def test_metadata_survives_the_way() -> None:
    job = CallJob(call_id="call-1", avatar=AVATAR, portrait_path="/p.png")
    assert CallJob.from_metadata(job.to_metadata()) == job


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "{}",
        f'{{"call_id":"c","avatar":{WHO}}}',
        f'{{"call_id":"c","avatar":{WHO},"portrait_path":"/p","portrait_url":"http://x"}}',
        f'{{"version":2,"call_id":"c","avatar":{WHO},"portrait_path":"/p"}}',
    ],
)
def test_other_text_is_refused(metadata: str) -> None:
    with pytest.raises(ValidationError):
        CallJob.from_metadata(metadata)


async def test_a_missing_portrait_says_which() -> None:
    job = CallJob(call_id="call-1", avatar=AVATAR, portrait_path="/nowhere/p.png")
    with pytest.raises(PortraitMissing, match=r"/nowhere/p\.png"):
        await load_portrait(job)
