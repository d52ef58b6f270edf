"""What a page makes of the panel's messages, without a page."""


def shown_after(shown: dict, message: dict) -> dict:
    """The state that a page shows after an update, as panel.js does it. `shown` is the state before, {} at first."""
    if "state" not in message:
        return shown
    rows = {row["number"]: row for row in [*shown.get("rows", []), *message["rows"]]}
    return message["state"] | {"rows": [rows[number] for number in message["order"]]}
