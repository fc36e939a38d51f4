"""The configuration class of every process. Their modules import nothing heavy."""

from pydantic_settings import BaseSettings

from actor_server.config import ActorConfig
from gateway.settings import GatewaySettings
from services.room_agent.config import AgentConfig
from thinker_server.config import ThinkerConfig

_CLASSES: dict[str, type[BaseSettings]] = {
    "thinker": ThinkerConfig,
    "actor": ActorConfig,
    "gateway": GatewaySettings,
    "agent": AgentConfig,
}


def config_class(process: str) -> type[BaseSettings]:
    """What the process of this name can be told."""
    return _CLASSES[process]
