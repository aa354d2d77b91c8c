"""What people configure: the schema of a configuration, and where one is read from.

Owns: `DispatcherConfig`, environment and `.env`, YAML and JSON files, LiteLLM's `config.yaml`.
Must not know: the chat model, drivers, connections.
"""
