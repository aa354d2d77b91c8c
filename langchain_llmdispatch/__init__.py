"""One LangChain chat model over every vendor."""
