"""From configured to resolved: `Deployment` and `VendorConfig` become targets.

Owns: keys, addresses, names and capabilities of each deployment of a model.
Must not know: calls and attempts.
"""
