"""The request compiler: a neutral request made valid for one target.

Owns: parameters, tools, tool choices, schemas, structured output by forced tool call.
Must not know: a vendor by name; each vendor's class declares its rules.
"""
