"""The signatures that this server issues, so that one vendor's can be refused by another."""

ANTHROPIC_SIGNATURE = "EusBClsIDRgCKkBsb29wYmFjay1zaWduYXR1cmU="
GOOGLE_SIGNATURE = "CiQBvj72+2xvb3BiYWNrLXRob3VnaHQtc2lnbmF0dXJl"
OPENAI_REASONING = "gAAAAABsb29wYmFjay1lbmNyeXB0ZWQtcmVhc29uaW5n"
