"""Whether the person in a portrait agreed: what is asked, and what is kept with the avatar."""

from gateway.errors import GatewayError

WORDING = "I am this person, or they agreed that their portrait is used here."
"""What whoever uploads confirms; the upload dialog says the same words."""
UPLOADER_CONFIRMED = "portrait-1"
"""Names this wording. Change both together: old records keep the name of what was asked then."""
NOBODY_DEPICTED = "synthetic"
"""The shipped portraits are our own renders of nobody (data/portraits/PROVENANCE.md)."""


def consent_missing() -> GatewayError:
    """422: nobody confirmed."""
    return GatewayError(
        422,
        "consent_missing",
        "Nobody confirmed that this portrait may be used",
        f'Send the field consent=true. It says: "{WORDING}"',
    )
