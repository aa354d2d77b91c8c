"""LangChain's standard suites, inherited whole, once per vendor."""
