"""What can go wrong in the Thinker, each with the code and words that a person gets to see."""


class ThinkerError(Exception):
    """Base of the tree. `code` is stable; the text says what was wrong and what to do."""

    code = "thinker_failed"
    retryable = False


class UnknownVoice(ThinkerError):
    """The session asks for a voice that does not exist here."""

    code = "unknown_voice"


class LanguageUnsupported(ThinkerError):
    """No recogniser or no voice is configured for the session's language."""

    code = "language_unsupported"


class BrainUnavailable(ThinkerError):
    """The chat model cannot be loaded or reached."""

    code = "brain_unavailable"
    retryable = True


class EyesUnavailable(ThinkerError):
    """The vision-language model cannot be loaded or reached."""

    code = "eyes_unavailable"
    retryable = True


class PictureRefused(ThinkerError):
    """A camera frame is no small JPEG file."""

    code = "picture_refused"


class AssetMissing(ThinkerError):
    """A model file is not where the configuration says."""

    code = "asset_missing"


class WeightsUnusable(ThinkerError):
    """A model's files are missing, partial, damaged or another model's."""

    code = "weights_unusable"


class ReplyFailed(ThinkerError):
    """One answer could not be made; the next one may be."""

    code = "reply_failed"
    retryable = True


class QuestionShortened(ThinkerError):
    """A question is longer than the chat model may read."""

    code = "question_shortened"


class GenerationFailed(ThinkerError):
    """The model's device gave up in the middle of answers."""

    code = "generation_failed"
    retryable = True


class TooManySessions(ThinkerError):
    """The Thinker holds as many sessions as it may."""

    code = "too_many_sessions"
    retryable = True


class SessionExists(ThinkerError):
    """A session of this id is open already."""

    code = "session_exists"


class SessionUnknown(ThinkerError):
    """A message names a session that is not open."""

    code = "session_unknown"
