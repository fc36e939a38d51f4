"""What can go wrong in the Actor. Each carries the code and the words of its Failure."""

from proto.portrait_code import PortraitCode


class ActorError(Exception):
    """Base of the Actor's errors: a stable `code`, a message for a person, worth another try?"""

    code = "actor_failed"
    retryable = False


class SpeechRefused(ActorError):
    """A HiddenChunk does not continue its turn, or holds speech that this Actor cannot use."""

    code = "speech_refused"


class SessionLimit(ActorError):
    """Every session that this process may hold is taken."""

    code = "busy"
    retryable = True


class SessionUnknown(ActorError):
    """A message for a session that is not open: this process was started again, or closed it."""

    code = "session_unknown"
    retryable = True


class SessionExists(ActorError):
    """The same session was opened twice."""

    code = "session_exists"


class PortraitRefused(ActorError):
    """The portrait cannot become a face; `code` is a PortraitCode and the text says what to do."""

    def __init__(self, code: PortraitCode, hint: str) -> None:
        super().__init__(hint)
        self.code = code


class PortraitDeskBusy(ActorError):
    """Too many portraits wait to be looked at, or one took too long."""

    code = "portrait_desk_busy"
    retryable = True


class TensorsUnreadable(ActorError):
    """Files of tensors are missing, damaged or not one model; the text says which and how."""


class LanguageModelUnusable(ActorError):
    """No Actor can begin with this language model; the text says why and what to do."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: name the directory of GLM-4-Voice-9B that `xstreamer weights convert` made"
        )


class WeightsUnusable(ActorError):
    """The transformer's weight file cannot be used; the text says why and what to do."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: restore the shipped file with `git checkout actor_server/motion/data`, name "
            'another one with `weights` in [actor] of xstreamer.toml, or choose motion = "teacher"'
        )


class SpeechWeightsUnusable(ActorError):
    """The speech decoder's weights cannot be used; the text says why and what to do."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: bring the released files with `xstreamer weights pull`, or name a directory "
            "that holds them with `speech_weights` in [actor] of xstreamer.toml"
        )


class LtxWeightsUnusable(ActorError):
    """The video autoencoder's files cannot be used; the text says why and what to do."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: give a directory with the `vae` folder's two files of an LTX-Video release "
            "for diffusers, config.json and diffusion_pytorch_model.safetensors"
        )
